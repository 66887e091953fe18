// y = max(x, 0), NaN stays NaN      dx = 0 where y <= 0, else dy
#include "kernels/reference/view.h"

namespace fp::reference {
namespace {

template <class T>
void forward(const Map& map, const Relu::Forward& args, Stream) {
    const auto x = view<T>(map, args.x);
    const auto y = view<T>(map, args.y);
    for_each(map, [&](int n, int c, int h, int w) {
        const T v = x(n, c, h, w);
        y(n, c, h, w) = v <= 0 ? T(0) : v;
    });
    zero_padding(y);
}

template <class T>
void backward(const Map& map, const Relu::Backward& args, Stream) {
    const auto y = view<T>(map, args.y), dy = view<T>(map, args.dy);
    const auto dx = view<T>(map, args.dx);
    for_each(map, [&](int n, int c, int h, int w) {
        put(dx(n, c, h, w), y(n, c, h, w) <= 0 ? 0.0 : double(dy(n, c, h, w)), args.write);
    });
    zero_padding(dx);
}

template <class T>
constexpr Relu relu{.forward = forward<T>, .backward = backward<T>};

}  // namespace

extern const Relu relu_f32{relu<float>};
extern const Relu relu_f64{relu<double>};

}  // namespace fp::reference
