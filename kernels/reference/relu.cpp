// y = max(x, 0), NaN stays NaN      dx = 0 where y <= 0, else dy
#include "kernels/reference/view.h"

namespace fp::reference {
namespace {

template <class T>
void forward(const Map& map, const act* x_act, act* y_act, Stream) {
    const auto x = view<T>(map, x_act);
    const auto y = view<T>(map, y_act);
    for_each(map, [&](int n, int c, int h, int w) {
        const T v = x(n, c, h, w);
        y(n, c, h, w) = v <= 0 ? T(0) : v;
    });
    zero_padding(y);
}

template <class T>
void backward(
    const Map& map, const act* y_act, const act* dy_act, act* dx_act, Write write, Stream) {
    const auto y = view<T>(map, y_act);
    const auto dy = view<T>(map, dy_act);
    const auto dx = view<T>(map, dx_act);
    for_each(map, [&](int n, int c, int h, int w) {
        put(dx(n, c, h, w), y(n, c, h, w) <= 0 ? 0.0 : double(dy(n, c, h, w)), write);
    });
    zero_padding(dx);
}

template <class T>
constexpr Relu relu{.forward = forward<T>, .backward = backward<T>};

}  // namespace

extern const Relu relu_f32{relu<float>};
extern const Relu relu_f64{relu<double>};

}  // namespace fp::reference
