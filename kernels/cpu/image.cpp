// x[n,c,h,w] = (rgb[n,h,w,c] / 255 - mean[c]) / std[c]
//
// Layout   rgb interleaved, x planar (block 1).
// Traffic  1 byte in and 4 out, per number.
// Bound    memory.
#include "kernels/cpu/parallel.h"
#include "kernels/error.h"
#include "kernels/kernels.h"

namespace fp::cpu {
namespace {

void normalize(const Map& map, const Image::Normalize& args, Stream) {
    FP_CHECK(map.block == 1, "image: x has channels in blocks of ", map.block, ", wants 1");
    const auto *mean = args.mean, *std = args.std;
    auto* x = as<float>(args.x);
    const int64_t pixels = map.pixels();
#pragma omp parallel for schedule(dynamic) if (map.logical() > kPiece)
    for (int n = 0; n < map.n; ++n)
        for (int c = 0; c < map.c; ++c) {
            const uint8_t* from = args.rgb + n * pixels * map.c + c;
            float* to = x + map.at(n, c, 0, 0);
            const auto scale = float(1 / (255.0 * std[c])), shift = float(double(mean[c]) / std[c]);
#pragma omp simd
            for (int64_t p = 0; p < pixels; ++p) to[p] = float(from[p * map.c]) * scale - shift;
        }
}

}  // namespace

extern const Image image{.normalize = normalize};

}  // namespace fp::cpu
