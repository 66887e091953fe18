// How the Hopper kernels of a bf16 convolution run the tile that conv_choice.h chose: into how many parts a sum is
// split, how many blocks run, and the layout of shared memory. (conv_halo.cuh has a plan of its own, halo_plan.h.)
#pragma once

#include <algorithm>

#include "kernels/cuda/plan/conv_choice.h"
#include "kernels/cuda/plan/conv_sizes.h"
#include "kernels/kernels.h"

namespace fp {

// ---- forward, and the input's gradient at stride 1

// The launch parameters of wgmma_stream_kernel.
struct StreamPlan {
    int blocks = 0;
    int tiles = 0, across = 0;  // the total, and how many cover the outputs of the same pixels
    // A block computes strands blockIdx, blockIdx + blocks, .. one after the other; strand i consists of tiles i, i +
    // strands, .. Since `across` divides `strands`, the tiles of a strand cover the same outputs, whose moments the
    // block therefore accumulates and writes once.
    int strands = 0;
    int stages = 0;
    int skew = 0;  // a warpgroup starts after this step of the one before it; with patches: row of taps
    int patch_rows = 0, patch_bytes = 0;  // pixels of a copy, and the shared memory for them
    int pitch = 0,
        lines = 0;          // of the padded sequence of pixels: positions per row, rows per sample
    bool resident = false;  // filters stay in shared memory

    int moments_parts() const { return std::min(strands, tiles) / across; }
};

struct PixelPlan {
    ConvKernel kernel = ConvKernel::tensor;
    TileSize tile{};
    StreamPlan stream{};
};
// For the kernels pixels, stream and patch.
PixelPlan pixel_plan(const ConvShape&, Pass, ConvChoice);

// A choice of kernel split with its number of parts, by which wgmma_split_kernel computes a tile: a cluster of so many
// blocks, which have equally many steps of its sum, or one fewer. Of 1, 2, 4 and 8 parts the number that takes least by
// the model. More than 8 blocks are a cluster that not every GPU can run; only conv_forced() asks for them.
ConvChoice in_parts(const ConvShape&, ConvChoice);
constexpr int kMostParts = 16, kPlannedParts = 8;
// Stages of its ring: two blocks fit a multiprocessor.
constexpr int split_stages(TileSize tile) { return tile.n == 32 ? 8 : 5; }

// The gradient of the input at stride 1 as a convolution of dy.
ConvSizes turned_round(const ConvSizes&);
// The convolution that a pass (not dw) computes.
ConvSizes sizes_of(const ConvShape&, Pass);
bool fits_patches(const ConvSizes&, TileSize);

// Consumer warpgroups of wgmma_stream_kernel.
constexpr int stream_consumers(TileSize tile) { return tile.m == 192 ? 3 : 2; }

// Shared memory of wgmma_stream_kernel: the most that a block may have, and its parts.
constexpr int kMostSharedBytes = 232448;
constexpr int kPanelRowBytes = 128;  // 64 bf16
constexpr int kMostStages = 12, kPatches = 2, kPatchSide = 3;
constexpr int kStagingBytesOfConsumer = 4 * 2 * 16 * kPanelRowBytes;  // two buffers of 16 rows per warp
// For moments: of each warp the first row of its outputs, in bf16, and a count. Up to 192 outputs they lie in its epilogue
// buffers.
constexpr int stream_moments_bytes(TileSize tile) {
    return tile.n <= 192 ? 0 : 4 * stream_consumers(tile) * (tile.n * 2 + 4);
}
constexpr int kStreamBarrierBytes = (2 * kMostStages + 2 * kPatches + 2) * 8;

// ---- the gradients

bool fits_strided(const ConvShape&);
bool fits_taps(const ConvShape&);
bool fits_rows(const ConvShape&);

struct FilterGradientPlan {
    ConvKernel kernel = ConvKernel::tensor;
    TileSize tile{};
    Split split{1, 1};  // for filter, taps and rows

    bool in_one_block() const { return kernel == ConvKernel::taps || kernel == ConvKernel::rows; }
    // Whether blocks write partial sums to scratch, which are then added in order.
    bool leaves_parts(Write write) const { return split.parts() > 1 || (in_one_block() && write == Write::add); }
    size_t parts_bytes(const ConvShape& s) const {
        return leaves_parts(Write::add) ? size_t(split.parts()) * size_t(s.w.stored()) * sizeof(float) : 0;
    }
};
FilterGradientPlan filter_gradient_plan(const ConvShape&);
// For filter, taps and rows.
Split filter_split(const ConvShape&, ConvChoice);

// By how many panels of 64 rows the last of nine taps reads ahead of dy, where padded maps have q + 1 pixels per row;
// and the most for which the ring of wgmma_taps_kernel has room.
constexpr int taps_lead(int stride, int q) {
    const int furthest = stride == 1 ? 2 * (q + 1) + 2 : q + 2;
    return (63 + furthest) / 64;
}
constexpr int most_taps_lead(int stride) { return stride == 1 ? 8 : 1; }

}  // namespace fp
