// Launchers of conv_wgmma.cuh and conv_stream.cuh: the forward pass and, at stride 1, the gradient of the input.
#pragma once

#include "kernels/cuda/conv/conv_stream.cuh"
#include "kernels/cuda/conv/conv_wgmma.cuh"
#include "kernels/cuda/conv/conv_wgmma.h"

namespace fp::FP_MACHINE {

// The tensor map of x as one sequence of pixels, with a zero before each row and a row of zeros before each sample.
inline TensorMap patch_map(const ConvSizes& g, const bf16* x, int pixels) {
    TensorMapSpec spec = pixel_spec(g, x, pixels);
    for (int i = 0; i < 2; ++i) spec.lower[i] = -1, spec.upper[i] = 0;
    return encode(spec);
}

// The convolution `g` to compute. Its filters are stored as those of the forward convolution `of_filters`.
struct PixelConvolution {
    const PixelPlan& plan;
    const ConvSizes &g, &of_filters;
    const Operands& on;
    Stream stream;
};

template <class T>
void start_tiles(const PixelConvolution& c) {
    const Grid grid{.blocks = ceil_div(c.g.pixels_out(), T::kPixels),
                    .blocks_y = ceil_div(c.g.y_c, T::kOutputs),
                    .threads = kRingThreads,
                    .shared_bytes = sizeof(typename T::Shared)};
    launch(wgmma_pixels_kernel<T>, grid, c.stream, pixel_map(c.g, c.on.x, T::kPixels),
           T::Filters::map(c.of_filters, c.on.w), c.g, c.on.to);
}

template <class T>
void start_stream(const PixelConvolution& c) {
    const StreamPlan& plan = c.plan.stream;
    const Grid grid{.blocks = plan.blocks, .threads = T::kThreads, .shared_bytes = StreamMemory<T>::bytes(plan)};
    launch(wgmma_stream_kernel<T>, grid, c.stream,
           T::kPatch ? patch_map(c.g, c.on.x, plan.patch_rows) : pixel_map(c.g, c.on.x, T::kRows),
           T::Filters::map(c.of_filters, c.on.w), c.g, plan, c.on.to);
}

// Launches the kernel of conv_stream.cuh for the plan's tile.
template <template <int> class Filters>
void start_walking(const PixelConvolution& c) {
    const bool patches = c.plan.kernel == ConvKernel::patch;
    const TileSize tile = c.plan.tile;
    if (patches && tile.n == 64) return start_stream<StreamTile<2, 2, 64, Filters, true>>(c);
    if (patches) return start_stream<StreamTile<2, 2, 128, Filters, true>>(c);
    if (tile.n == 64) return start_stream<StreamTile<2, 2, 64, Filters, false>>(c);
    if (tile.n == 128) return start_stream<StreamTile<2, 2, 128, Filters, false>>(c);
    if (tile.n == 192) return start_stream<StreamTile<3, 1, 192, Filters, false>>(c);
    start_stream<StreamTile<3, 1, 256, Filters, false>>(c);
}

}  // namespace fp::FP_MACHINE
