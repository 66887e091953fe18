// y = a + b      da = db = dy
#include "kernels/reference/view.h"

namespace fp::reference {
namespace {

template <class T>
void forward(const Map& map, const Add::Forward& args, Stream) {
    const auto a = view<T>(map, args.a), b = view<T>(map, args.b);
    const auto y = view<T>(map, args.y);
    for_each(map, [&](int n, int c, int h, int w) { y(n, c, h, w) = a(n, c, h, w) + b(n, c, h, w); });
    zero_padding(y);
}

template <class T>
void accumulate(const Map& map, const Add::Accumulate& args, Stream) {
    const auto dy = view<T>(map, args.dy);
    const auto dx = view<T>(map, args.dx);
    for_each(map, [&](int n, int c, int h, int w) { put(dx(n, c, h, w), dy(n, c, h, w), args.write); });
    zero_padding(dx);
}

template <class T>
constexpr Add add{.forward = forward<T>, .accumulate = accumulate<T>};

}  // namespace

extern const Add add_f32{add<float>};
extern const Add add_f64{add<double>};

}  // namespace fp::reference
