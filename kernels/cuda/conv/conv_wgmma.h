// Launchers of the convolutions by warpgroup matrix instructions (wgmma), for conv_bf16_sm90a.cu. `w` is the filter in
// bf16, in the order of the float32 weights.
#pragma once

#include "hopper.cuh"
#include "kernels/cuda/conv/conv_epilogue.cuh"
#include "kernels/cuda/plan/conv_plan.h"

namespace fp::FP_MACHINE {

// Tensor map of the pixels that the first tap of each output reads; each copy brings `pixels` of them.
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
// Here `w` is a.w in bf16.
void wgmma_data(const ConvShape&, const PixelPlan&, const Conv::BackwardData& a, const bf16* w, Stream);
void wgmma_strided_data(const ConvShape&, TileSize, const Conv::BackwardData& a, const bf16* w, Stream);  // stride 2
// dw alone. Its parts are written to scratch and added in order.
void wgmma_filter(const ConvShape&, const FilterGradientPlan&, const Conv::BackwardFilter&, void* scratch, Stream);

}  // namespace fp::FP_MACHINE
