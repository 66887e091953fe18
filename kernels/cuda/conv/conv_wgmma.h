// What starts the convolutions on warpgroup products, for conv_bf16_sm90a.cu. Filters w are bf16 and lie as float32
// weights do.
#pragma once

#include "hopper.cuh"
#include "kernels/cuda/conv/conv_epilogue.cuh"
#include "kernels/cuda/plan/conv_plan.h"

namespace fp::FP_MACHINE {

// The pixels that the first tap of each output reads, `pixels` of them a copy.
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
inline TensorMap pixel_map(const ConvSizes& g, const bf16* x, int pixels) {
    return encode(pixel_spec(g, x, pixels));
}

void wgmma_forward(
    const ConvShape&, const PixelPlan& plan, const bf16* x, const bf16* w, const Epilogue&, Stream);
void wgmma_data(const ConvShape&,
                const PixelPlan& plan,
                const bf16* dy,
                const bf16* w,
                bf16* dx,
                Write,
                Stream);
// At stride 2.
void wgmma_strided_data(
    const ConvShape&, TileSize, const bf16* dy, const bf16* w, bf16* dx, Write, Stream);
// Parts in scratch, added in order.
void wgmma_filter(const ConvShape&,
                  const FilterGradientPlan& plan,
                  const bf16* x,
                  const bf16* dy,
                  float* dw,
                  Write,
                  void* scratch,
                  Stream);

}  // namespace fp::FP_MACHINE
