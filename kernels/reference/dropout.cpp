// y = keep x / (1 - p),  dx = keep dy / (1 - p),  keep = [uniform(key, index) >= p], index in NCHW order
#include "kernels/random.h"
#include "kernels/reference/view.h"

namespace fp::reference {
namespace {

// Forward and backward do the same: draw the mask and apply it.
template <class T>
void mask(const Map& map, const Dropout::Backward& args) {
    const auto in = view<T>(map, args.dy);
    const auto out = view<T>(map, args.dx);
    for_each(map, [&](int n, int c, int h, int w) {
        const int64_t index = ((int64_t(n) * map.c + c) * map.h + h) * map.w + w;
        const bool keep = double(uniform(args.key, uint64_t(index))) >= args.p;
        put(out(n, c, h, w), keep ? in(n, c, h, w) / (1 - args.p) : 0.0, args.write);
    });
    zero_padding(out);
}

template <class T>
void forward(const Map& map, const Dropout::Forward& args, Stream) {
    mask<T>(map, {.p = args.p, .key = args.key, .dy = args.x, .dx = args.y, .write = Write::replace});
}

template <class T>
void backward(const Map& map, const Dropout::Backward& args, Stream) {
    mask<T>(map, args);
}

template <class T>
constexpr Dropout dropout{.forward = forward<T>, .backward = backward<T>};

}  // namespace

extern const Dropout dropout_f32{dropout<float>};
extern const Dropout dropout_f64{dropout<double>};

}  // namespace fp::reference
