// y = keep x / (1 - p),  dx = keep dy / (1 - p),  keep = [uniform(key, index) >= p], index in NCHW order
#include "kernels/random.h"
#include "kernels/reference/view.h"

namespace fp::reference {
namespace {

// Forward and backward are the same map.
template <class T>
void mask(const Map& map, double p, uint64_t key, const act* in_act, act* out_act, Write write) {
    const auto in = view<T>(map, in_act);
    const auto out = view<T>(map, out_act);
    for_each(map, [&](int n, int c, int h, int w) {
        const int64_t index = ((int64_t(n) * map.c + c) * map.h + h) * map.w + w;
        const bool keep = double(uniform(key, uint64_t(index))) >= p;
        put(out(n, c, h, w), keep ? in(n, c, h, w) / (1 - p) : 0.0, write);
    });
    zero_padding(out);
}

template <class T>
void forward(const Map& map, double p, uint64_t key, const act* x, act* y, Stream) {
    mask<T>(map, p, key, x, y, Write::replace);
}

template <class T>
void backward(const Map& map, double p, uint64_t key, const act* dy, act* dx, Write write, Stream) {
    mask<T>(map, p, key, dy, dx, write);
}

template <class T>
constexpr Dropout dropout{.forward = forward<T>, .backward = backward<T>};

}  // namespace

extern const Dropout dropout_f32{dropout<float>};
extern const Dropout dropout_f64{dropout<double>};

}  // namespace fp::reference
