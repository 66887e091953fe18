// The three passes of a convolution as matrix products, from which tiles are chosen, by the kernels' launchers and by
// the cost model alike.
#pragma once

#include "kernels/cuda/plan/tiling.h"
#include "kernels/shapes.h"

namespace fp {

enum class Pass { forward, data, filter };

// On FFMA and mma.sync (conv_f32.cuh, conv_mma.cuh): sums run over taps and channels without gaps.
constexpr MatrixProduct product_of(const ConvShape& s, Pass pass, int element_bytes, double peak) {
    const int64_t window = int64_t(s.w.r) * s.w.s, c = s.x.stored_c(), k = s.y().stored_c();
    const int64_t pixels = int64_t(s.x.n) * s.y().pixels();
    MatrixProduct p{.m = pixels, .n = k, .depth = window * c, .element_bytes = element_bytes, .peak = peak};
    if (pass == Pass::data) {
        p.m = s.x.n * s.x.pixels();
        p.n = c;
        p.depth = ceil_div(window * k, int64_t(s.stride) * s.stride);
    } else if (pass == Pass::filter) {
        p.m = s.w.k;
        p.n = window * c;
        p.depth = pixels;
        p.split = true;
    }
    return p;
}

// On Hopper's warpgroup products in bf16 (conv_wgmma.cuh, conv_wgmma_filter.cuh): the channels of a tap are rounded up
// to 16 in the sum, and in the gradient of the filters to 64 as rows of the product.
constexpr MatrixProduct wgmma_product_of(const ConvShape& s, Pass pass) {
    MatrixProduct p = product_of(s, pass, 2, kDevice.bf16_matrix);
    const int64_t window = int64_t(s.w.r) * s.w.s, c = s.x.stored_c(), k = s.y().stored_c();
    if (pass == Pass::forward) p.depth = window * round_up(c, 16);
    if (pass == Pass::data) p.depth = window * round_up(k, 16);
    if (pass == Pass::filter) {
        p.m = window * round_up(c, 64);
        p.n = k;
    }
    return p;
}

// How many tiles cover the pixels of the output: the parts of its moments where blocks take one tile each.
constexpr int tiles_down(const ConvShape& s, TileSize tile) { return int(ceil_div(s.x.n * s.y().pixels(), tile.m)); }

// How the sum of the gradient of the filters is split into parts. The length of a part is a multiple of a stage of the
// kernel: 8 numbers, 64 bytes, or 64 rows.
constexpr Split ffma_split_of(const MatrixProduct& p, TileSize tile) {
    return split_sum(p.depth, tiles_of(p, tile), 8, 64);
}
constexpr Split mma_split_of(const MatrixProduct& p, TileSize tile) {
    const int step = 64 / p.element_bytes;
    return split_sum(p.depth, tiles_of(p, tile), step, 2 * step);
}
constexpr Split wgmma_split_of(const MatrixProduct& p, TileSize tile) {
    return split_in_waves(p.depth, tiles_of(p, tile), 64);
}

// Whether conv_wgmma.cuh and conv_wgmma_filter.cuh can compute the pass. TMA needs a multiple of 8 channels, strides up
// to 8, and boxes that begin and end within 128 pixels of the map's edges; the gradient of the input must be a
// convolution at stride 1.
constexpr bool fits_wgmma(const ConvShape& s, Pass pass) {
    const auto reaches = [](int pad, int window) { return pad >= -127 && pad <= 127 && pad - (window - 1) >= -128; };
    if (s.x.stored_c() % 8 != 0 || s.stride > 8) return false;
    if (pass != Pass::data) return reaches(s.pad, s.w.r) && reaches(s.pad, s.w.s);
    return s.stride == 1 && s.w.r == s.w.s && reaches(s.w.r - 1 - s.pad, s.w.r);
}

}  // namespace fp
