// What a tile of a convolution is made of, as cost.cpp counts it and choices.cpp sees whether it fits.
#pragma once

#include <algorithm>

#include "kernels/products.h"
#include "kernels/shapes.h"
#include "kernels/tiles.h"

namespace fp {

constexpr int kChunk = 64;             // channels of a step
constexpr int kRowBytes = kChunk * 2;  // of a pixel or a filter in a step
constexpr int kImage = 4;              // channels an image is stored with

// A pass but dw as a convolution of `in` channels into `out`.
struct Direct {
    bool forward;
    int64_t n, p, q, r, s, in, out;  // p x q: of the pass's output
    int64_t pixels, steps;
    double deep;                    // terms of a sum, a tap's last chunk by 16
    double read, written, weights;  // bytes

    Direct(const ConvShape& c, Pass pass) : forward(pass == Pass::forward) {
        const Map &from = forward ? c.x : c.y(), &to = forward ? c.y() : c.x;
        n = to.n, p = to.h, q = to.w, r = c.w.r, s = c.w.s;
        in = from.stored_c(), out = to.stored_c();
        pixels = n * to.pixels();
        steps = r * s * ceil_div(in, kChunk);
        deep = double(r * s * round_up(in, 16));
        const bool skips = forward && r < c.stride;
        read = 2.0 * double(from.stored()) / (skips ? c.stride * c.stride : 1);
        written = 2.0 * double(to.stored());
        weights = 2.0 * double(c.w.stored());
    }
    int64_t across(TileSize t) const { return ceil_div(out, t.n); }
    double leaving(TileSize t) const {  // bytes of a tile's outputs that exist
        return 2.0 * t.m * double(out) / double(across(t));
    }
};

// A tile of whole rows or whole images of the output, and the input's patch for it.
struct Halo {
    int warps_m, warps_n;
    int64_t tiles = 0, pixels = 0, patch_bytes = 0, steps = 0;

    // A tile of no pixels where not one row fits.
    Halo(const Direct& g, int stride, TileSize t)
        : warps_m(t.m == 224 ? 2 : 4), warps_n(t.m == 224 || t.n >= 64 ? 2 : 1) {
        if (g.q > t.m) return;
        int64_t rows = g.p, images = 1;
        if (g.p * g.q <= t.m)
            images = std::min(g.n, t.m / (g.p * g.q));
        else
            for (rows = t.m / g.q; g.p % rows; --rows) {}
        const bool image = g.in == kImage;  // two pixels of it are one of eight channels
        const int64_t chunks = image ? 1 : g.in / 8, s = image ? (g.s + 2) / 2 : g.s;
        const int64_t columns = (g.q - 1) * (image ? 1 : stride) + s,
                      lines = (rows - 1) * stride + g.r;
        tiles = ceil_div(g.n, images) * (g.p / rows);
        pixels = images * rows * g.q;
        patch_bytes = images * lines * columns * (chunks | 1) * 16;
        steps = ceil_div(g.r * s * chunks, 2);
    }
    int warps() const { return warps_m * warps_n; }
    int64_t shared_bytes(TileSize t) const {  // filters, one patch, a warp's rows on their way out
        return steps * 2 * t.n * 16 + patch_bytes + warps() * 16 * (t.n / warps_n / 8 | 1) * 16;
    }
};

constexpr int kHaloTerms = 28, kHaloFilters = 64;  // of a block of conv_halo_filter.cuh
inline int64_t halo_terms(const ConvShape& s) {
    return s.x.stored_c() == kImage ? s.w.r * ((s.w.s + 2) / 2)
                                    : int64_t(s.w.r) * s.w.s * s.x.stored_c() / 8;
}

}  // namespace fp
