// A convolution's three passes as matrix products: what tiles are chosen by, for kernels and for their model alike.
#pragma once

#include "kernels/cuda/plan/tiling.h"
#include "kernels/shapes.h"

namespace fp {

enum class Pass { forward, data, filter };

// On FFMA and mma.sync (conv_f32.cuh, conv_mma.cuh): sums run densely over taps and channels.
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

// On Hopper's warpgroup products in bf16 (conv_wgmma.cuh, conv_wgmma_filter.cuh): a tap's sum runs in steps of 16
// channels, and the filters' gradient has rows of 64.
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

// How the filters' gradient is cut into parts. Steps are as long as a stage of the kernels: 8 numbers, 64 bytes, or
// 64 rows.
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

// Whether Hopper's products can do it at all: the unit wants channels by 8, strides up to 8, and boxes that begin and
// end within 128 pixels of the map's edges; the input's gradient must be a convolution of its own.
constexpr bool fits_wgmma(const ConvShape& s, Pass pass) {
    const auto reaches = [](int pad, int window) { return pad >= -127 && pad <= 127 && pad - (window - 1) >= -128; };
    if (s.x.stored_c() % 8 != 0 || s.stride > 8) return false;
    if (pass != Pass::data) return reaches(s.pad, s.w.r) && reaches(s.pad, s.w.s);
    return s.stride == 1 && s.w.r == s.w.s && reaches(s.w.r - 1 - s.pad, s.w.r);
}

}  // namespace fp
