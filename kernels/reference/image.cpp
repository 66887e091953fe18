// x[n,c,h,w] = (rgb[n,h,w,c] / 255 - mean[c]) / std[c]
#include "kernels/reference/view.h"

namespace fp::reference {
namespace {

template <class T>
void normalize(const Map& map, const Image::Normalize& args, Stream) {
    const auto x = view<T>(map, args.x);
    for_each(map, [&](int n, int c, int h, int w) {
        const int64_t pixel = (int64_t(n) * map.h + h) * map.w + w;
        x(n, c, h, w) = T((args.rgb[pixel * map.c + c] / 255.0 - args.mean[c]) / args.std[c]);
    });
    zero_padding(x);
}

template <class T>
constexpr Image image{.normalize = normalize<T>};

}  // namespace

extern const Image image_f32{image<float>};
extern const Image image_f64{image<double>};

}  // namespace fp::reference
