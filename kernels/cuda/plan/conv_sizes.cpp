#include "kernels/cuda/plan/conv_sizes.h"

#include <limits>

namespace fp {

ConvSizes ConvSizes::of(const ConvShape& s) {
    const ConvSizes g{.n = s.x.n,
                      .h = s.x.h,
                      .w = s.x.w,
                      .c = s.x.stored_c(),
                      .k = s.w.k,
                      .r = s.w.r,
                      .s = s.w.s,
                      .p = s.p(),
                      .q = s.q(),
                      .y_c = s.y().stored_c(),
                      .stride = s.stride,
                      .pad = s.pad};
    const bool nhwc = s.x.blocks() == 1 && s.y().blocks() == 1 && s.w.k_block == 1;
    FP_CHECK(nhwc && s.w.c_blocks() == 1 && s.w.c_block == g.c && g.c % 4 == 0 && g.y_c % 8 == 0,
             "conv: not in the CUDA layout: blocks of ", s.x.block, ", ", s.y_block, " and ", s.w.c_block);
    FP_CHECK(g.p > 0 && g.q > 0, "conv: a ", g.r, "x", g.s, " filter over a ", g.h, "x", g.w, " map");
    constexpr int64_t kMost = std::numeric_limits<int>::max() - 1024;  // a tile may extend past the end
    FP_CHECK(int64_t(g.n) * g.h * g.w <= kMost && int64_t(g.n) * g.p * g.q <= kMost,
             "conv: a batch of more than 2^31 pixels");
    FP_CHECK(
        int64_t(g.h) * g.w * g.c <= kMost && int64_t(g.p) * g.q * g.y_c <= kMost && int64_t(g.r) * g.s * g.c <= kMost,
        "conv: one sample or one filter has more than 2^31 elements");
    return g;
}

ConvShape as_conv(const LinearShape& s) {
    const int length = int(s.x.pixels()) * s.x.stored_c();
    return {.x = {.n = s.x.n, .c = length, .block = length},
            .w = {.k = s.w.k, .c = length, .c_block = length},
            .y_block = s.y_block};
}

}  // namespace fp
