// y = a + b      da = db = dy
#include "kernels/reference/view.h"

namespace fp::reference {
namespace {

template <class T>
void forward(const Map& map, const act* a_act, const act* b_act, act* y_act, Stream) {
    const auto a = view<T>(map, a_act);
    const auto b = view<T>(map, b_act);
    const auto y = view<T>(map, y_act);
    for_each(map,
             [&](int n, int c, int h, int w) { y(n, c, h, w) = a(n, c, h, w) + b(n, c, h, w); });
    zero_padding(y);
}

template <class T>
void accumulate(const Map& map, const act* dy_act, act* dx_act, Write write, Stream) {
    const auto dy = view<T>(map, dy_act);
    const auto dx = view<T>(map, dx_act);
    for_each(map, [&](int n, int c, int h, int w) { put(dx(n, c, h, w), dy(n, c, h, w), write); });
    zero_padding(dx);
}

template <class T>
constexpr Add add{.forward = forward<T>, .accumulate = accumulate<T>};

}  // namespace

extern const Add add_f32{add<float>};
extern const Add add_f64{add<double>};

}  // namespace fp::reference
