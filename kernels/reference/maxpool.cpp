// Max pooling.
//
//   y[n,c,p,q] = max_rs x[n,c,h,w]      h = p stride + r - pad, w = q stride + s - pad, on the map only
//   argmax     = r window + s of the first maximum in row order; NaN wins
//   dx[n,c,h,w] = sum of dy over the outputs whose maximum is (h,w)
#include <cmath>

#include "kernels/reference/view.h"

namespace fp::reference {
namespace {

template <class T>
void forward(const MaxPoolShape& shape, const MaxPool::Forward& args, Stream) {
    const auto x = view<T>(shape.x, args.x);
    const auto y = view<T>(shape.y(), args.y);
    const MapView<uint8_t> won{shape.y(), args.argmax};

    for_each(y.map, [&](int n, int c, int p, int q) {
        T best{};
        int winner = -1;
        for (int r = 0; r < shape.window; ++r)
            for (int s = 0; s < shape.window; ++s) {
                const int h = p * shape.stride + r - shape.pad;
                const int w = q * shape.stride + s - shape.pad;
                if (h < 0 || h >= x.map.h || w < 0 || w >= x.map.w) continue;
                const T v = x(n, c, h, w);
                if (winner < 0 || v > best || (std::isnan(v) && !std::isnan(best))) {
                    best = v;
                    winner = r * shape.window + s;
                }
            }
        y(n, c, p, q) = best;
        if (args.argmax) won(n, c, p, q) = uint8_t(winner);
    });
    zero_padding(y);
    if (args.argmax) zero_padding(won);
}

template <class T>
void backward(const MaxPoolShape& shape, const MaxPool::Backward& args, Stream) {
    const auto dy = view<T>(shape.y(), args.dy);
    const MapView<const uint8_t> won{shape.y(), args.argmax};
    const auto dx = view<T>(shape.x, args.dx);

    for_each(dx.map, [&](int n, int c, int h, int w) {
        double sum = 0;
        for (int r = 0; r < shape.window; ++r)
            for (int s = 0; s < shape.window; ++s) {  // the output whose tap (r, s) is (h, w)
                const int p = h + shape.pad - r, q = w + shape.pad - s;
                if (p < 0 || q < 0 || p % shape.stride || q % shape.stride) continue;
                if (p / shape.stride >= dy.map.h || q / shape.stride >= dy.map.w) continue;
                if (won(n, c, p / shape.stride, q / shape.stride) == r * shape.window + s)
                    sum += dy(n, c, p / shape.stride, q / shape.stride);
            }
        put(dx(n, c, h, w), sum, args.write);
    });
    zero_padding(dx);
}

template <class T>
constexpr MaxPool maxpool{.forward = forward<T>, .backward = backward<T>};

}  // namespace

extern const MaxPool maxpool_f32{maxpool<float>};
extern const MaxPool maxpool_f64{maxpool<double>};

}  // namespace fp::reference
