// How the kernels of a convolution in bf16 on Hopper run in the tile that conv_choice.h names: how a sum is cut into
// parts, how many blocks run, and what lies in shared memory. (conv_halo.cuh has a plan of its own, halo_plan.h.)
#pragma once

#include "kernels/cuda/plan/conv_choice.h"
#include "kernels/cuda/plan/conv_sizes.h"
#include "kernels/kernels.h"

namespace fp {

// ---- forward, and the input's gradient at stride 1

// What wgmma_stream_kernel is told of its launch.
struct StreamPlan {
    int blocks = 0;
    int tiles = 0, across = 0;  // all of them, and how many lie side by side
    int stages = 0;
    int skew = 0;  // a warpgroup starts behind this step of the one before it; of patches: row of taps
    int patch_rows = 0, patch_bytes = 0;  // that a copy brings, and the bytes set aside for it
    int pitch = 0,
        lines = 0;          // of the padded line: places from row to row, rows from sample to sample
    bool resident = false;  // filters stay in shared memory
};

struct PixelPlan {
    ConvKernel kernel = ConvKernel::tensor;
    TileSize tile{};
    StreamPlan stream{};

    Moments::Rows moments_rows() const;
};
// Of pixels, stream and patch.
PixelPlan pixel_plan(const ConvShape&, Pass, ConvChoice);

// The gradient of the input at stride 1 as a convolution of dy.
ConvSizes turned_round(const ConvSizes&);
// What a pass but dw convolves.
ConvSizes sizes_of(const ConvShape&, Pass);
bool fits_patches(const ConvSizes&, TileSize);

// Warpgroups of wgmma_stream_kernel that multiply.
constexpr int stream_consumers(TileSize tile) { return tile.m == 192 ? 3 : 2; }

// What the kernel has in shared memory, at most.
constexpr int kMostSharedBytes = 232448;
constexpr int kPanelRowBytes = 128;  // 64 bf16
constexpr int kMostStages = 12, kPatches = 2, kPatchSide = 3;
constexpr int kStagingBytesOfConsumer = 4 * 2 * 16 * kPanelRowBytes;  // two pieces of 16 rows a warp
constexpr int kStreamBarrierBytes = (2 * kMostStages + 2 * kPatches + 2) * 8;

// ---- the gradients

bool fits_strided(const ConvShape&);
bool fits_taps(const ConvShape&);
bool fits_rows(const ConvShape&);

struct FilterGradientPlan {
    ConvKernel kernel = ConvKernel::tensor;
    TileSize tile{};
    Split split{1, 1};  // of filter, taps and rows

    bool in_one_block() const { return kernel == ConvKernel::taps || kernel == ConvKernel::rows; }
    // Whether blocks leave their sums in scratch, to be added in order.
    bool leaves_parts(Write write) const { return split.parts() > 1 || (in_one_block() && write == Write::add); }
    size_t parts_bytes(const ConvShape& s) const {
        return leaves_parts(Write::add) ? size_t(split.parts()) * size_t(s.w.stored()) * sizeof(float) : 0;
    }
};
FilterGradientPlan filter_gradient_plan(const ConvShape&);
// Of filter, taps and rows.
Split filter_split(const ConvShape&, ConvChoice);

// Panels of 64 rows of x beyond dy's that the last of nine taps reaches into, where maps have rows of q + 1 places; and
// how many of them the ring of wgmma_taps_kernel has room for.
constexpr int taps_lead(int stride, int q) {
    const int furthest = stride == 1 ? 2 * (q + 1) + 2 : q + 2;
    return (63 + furthest) / 64;
}
constexpr int most_taps_lead(int stride) { return stride == 1 ? 8 : 1; }

}  // namespace fp
