// What starts the kernels whose outputs are pixels (conv_wgmma.cuh, conv_stream.cuh), for the forward pass and for the
// gradient of the input alike.
#pragma once

#include "kernels/cuda/conv/conv_stream.cuh"
#include "kernels/cuda/conv/conv_wgmma.cuh"
#include "kernels/cuda/conv/conv_wgmma.h"

namespace fp::FP_MACHINE {

// The map with a column of zeros before each row and a row of them before each sample, as one line of pixels.
inline TensorMap patch_map(const ConvSizes& g, const bf16* x, int pixels) {
    TensorMapSpec spec = pixel_spec(g, x, pixels);
    for (int i = 0; i < 2; ++i) spec.lower[i] = -1, spec.upper[i] = 0;
    return encode(spec);
}

// The convolution `g` of `x`, with filters as those of the convolution `of_filters` lie.
struct PixelConvolution {
    const PixelPlan& plan;
    const ConvSizes& g;
    const bf16* x;
    const ConvSizes& of_filters;
    const bf16* w;
    const Epilogue& to;
    Stream stream;
};

template <class T>
void start_tiles(const PixelConvolution& on) {
    const Grid grid{.blocks = ceil_div(on.g.pixels_out(), T::kPixels),
                    .blocks_y = ceil_div(on.g.y_c, T::kOutputs),
                    .threads = kRingThreads,
                    .shared_bytes = sizeof(typename T::Shared)};
    launch(wgmma_pixels_kernel<T>, grid, on.stream, pixel_map(on.g, on.x, T::kPixels),
           T::Filters::map(on.of_filters, on.w), on.g, on.to);
}

template <class T>
void start_stream(const PixelConvolution& on) {
    const StreamPlan& plan = on.plan.stream;
    const Grid grid{.blocks = plan.blocks,
                    .threads = T::kThreads,
                    .shared_bytes = StreamMemory<T>::bytes(plan)};
    launch(wgmma_stream_kernel<T>, grid, on.stream,
           T::kPatch ? patch_map(on.g, on.x, plan.patch_rows) : pixel_map(on.g, on.x, T::kRows),
           T::Filters::map(on.of_filters, on.w), on.g, plan, on.to);
}

// The tile of conv_stream.cuh that the plan names.
template <template <int> class Filters>
void start_walking(const PixelConvolution& on) {
    const bool patches = on.plan.kernel == ConvKernel::patch;
    const TileSize tile = on.plan.tile;
    if (patches && tile.n == 64) return start_stream<StreamTile<2, 2, 64, Filters, true>>(on);
    if (patches) return start_stream<StreamTile<2, 2, 128, Filters, true>>(on);
    if (tile.n == 64) return start_stream<StreamTile<2, 2, 64, Filters, false>>(on);
    if (tile.n == 128) return start_stream<StreamTile<2, 2, 128, Filters, false>>(on);
    if (tile.m == 128) return start_stream<StreamTile<2, 1, 256, Filters, false>>(on);
    start_stream<StreamTile<3, 1, 256, Filters, false>>(on);
}

}  // namespace fp::FP_MACHINE
