// Launchers of the convolution kernels on warpgroup matrix instructions (wgmma), which conv_bf16_sm90a.cu calls. `w` is
// the filter rounded to bf16, in the layout of the float32 weights.
#pragma once

#include "hopper.cuh"
#include "kernels/cuda/conv/conv_epilogue.cuh"
#include "kernels/cuda/plan/conv_plan.h"

namespace fp::FP_MACHINE {

// The tensor map for im2col copies of x: a copy loads the input pixels that tap (0,0) of `pixels` consecutive outputs
// reads. The copy adds the offset of its tap.
inline TensorMapSpec pixel_spec(const ConvSizes& g, const bf16* x, int pixels) {
    return {.base = x,
            .rank = 4,
            .size = {g.c, g.w, g.h, g.n},
            .stride = {1, g.c, int64_t(g.w) * g.c, int64_t(g.h) * g.w * g.c},
            .im2col = true,
            .pixels = pixels,
            .lower = {-g.pad, -g.pad},
            .upper = {g.pad - (g.s - 1), g.pad - (g.r - 1)},
            .step = g.stride};
}
inline TensorMap pixel_map(const ConvSizes& g, const bf16* x, int pixels) { return encode(pixel_spec(g, x, pixels)); }

void wgmma_forward(const ConvShape&, const PixelPlan&, const Operands&, Stream);
void wgmma_split(const ConvShape&, const ConvChoice&, const Operands&, Stream);
// In the two gradients of the input, `w` is a.w in bf16.
void wgmma_data(const ConvShape&, const PixelPlan&, const Conv::BackwardData& a, const bf16* w, Stream);
void wgmma_strided_data(const ConvShape&, TileSize, const Conv::BackwardData& a, const bf16* w, Stream);  // stride 2
// Computes dw, not dbias. Partial sums are written to scratch and added in order.
void wgmma_filter(const ConvShape&, const FilterGradientPlan&, const Conv::BackwardFilter&, void* scratch, Stream);

}  // namespace fp::FP_MACHINE
