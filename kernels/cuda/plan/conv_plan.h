// How a convolution in bf16 runs on Hopper: the kernel of each pass, its tile, how a sum is cut into parts, and how many
// blocks run. All of it follows from the shape, so that results are the same on every device. (Few channels have a
// plan of their own, which is asked first: conv_halo.h.)
//
// Figures beside a rule are the lines of gpu_worker that chose it: one H200, CUDA 13.0, bf16, batch 256 and a quiet
// card, microseconds a call; "64@56" is a 3x3 of 64 channels to 64 at 56x56 and stride 1 where nothing else is said.
#pragma once

#include <optional>

#include "kernels/cuda/plan/conv_sizes.h"
#include "kernels/kernels.h"
#include "kernels/products.h"

namespace fp {

// Forward, or the input's gradient at stride 1.
enum class PixelKernel {
    mma_sync,  // conv_tensor.cuh
    tiles,     // conv_wgmma.cuh: a block a tile
    stream,    // conv_stream.cuh: blocks that walk over tiles, pixels once a tap
    patches    // conv_stream.cuh: the same, pixels once for all nine taps
};
enum class FilterKernel {
    mma_sync,  // conv_tensor.cuh
    blocks,    // conv_wgmma_filter.cuh: a block has 128 or 256 rows of taps and channels
    taps,      // conv_wgmma_taps.cuh: all nine taps in one block
    rows       // conv_wgmma_taps.cuh: the same, the rows of x brought for each row of the window
};

// What tests, and tuning on a card, choose in the rules' place; what is not set follows the rules. A choice that does
// not fit a shape is an error.
struct ConvForced {
    std::optional<PixelKernel> pixels;
    std::optional<FilterKernel> filter;
    TileSize
        tile{};  // of `pixels`, of `filter` where that is blocks, and of the input's gradient at stride 2
    int blocks = 0;       // that walk over the tiles of stream and patches
    int parts = 0;        // of the filters' gradient
    bool strided = true;  // the input's gradient at stride 2 on warpgroups, not on mma.sync
};
// One a process, read whenever a convolution is planned: not to be changed between scratch_bytes and the call.
ConvForced& conv_forced();

// ---- forward, and the input's gradient at stride 1

// What wgmma_stream_kernel is told of its launch.
struct StreamPlan {
    int blocks = 0;
    int tiles = 0, across = 0;  // all of them, and how many lie side by side
    int stages = 0;
    int skew =
        0;  // a warpgroup starts behind this step of the one before it; of patches: row of taps
    int patch_rows = 0, patch_bytes = 0;  // that a copy brings, and the bytes set aside for it
    int pitch = 0,
        lines = 0;  // of the padded line: places from row to row, rows from sample to sample
    bool resident = false;  // filters stay in shared memory
};

struct PixelPlan {
    PixelKernel kernel = PixelKernel::mma_sync;
    TileSize tile{};
    StreamPlan stream{};

    Moments::Rows moments_rows() const;  // of the warpgroups' kernels
};
PixelPlan pixel_plan(const ConvShape&, Pass);

// The gradient of the input at stride 1 as a convolution of dy.
ConvSizes turned_round(const ConvSizes&);

// Warpgroups of wgmma_stream_kernel that multiply.
constexpr int stream_consumers(TileSize tile) { return tile.m == 192 ? 3 : 2; }

// What the kernel has in shared memory, at most.
constexpr int kMostSharedBytes = 232448;
constexpr int kPanelRowBytes = 128;  // 64 bf16
constexpr int kMostStages = 12, kPatches = 2, kPatchSide = 3;
constexpr int kStagingBytesOfConsumer =
    4 * 2 * 16 * kPanelRowBytes;  // two pieces of 16 rows a warp
constexpr int kStreamBarrierBytes = (2 * kMostStages + 2 * kPatches + 2) * 8;

// ---- the input's gradient at stride 2

// Pixels and channels of a block of conv_wgmma_strided.cuh; nothing where the pass goes to mma.sync.
std::optional<TileSize> strided_tile(const ConvShape&);
constexpr TileSize kStridedTiles[] = {{128, 64}, {128, 128}, {256, 128}};

// ---- the filters' gradient

struct FilterGradientPlan {
    FilterKernel kernel = FilterKernel::mma_sync;
    TileSize tile{};  // of `blocks`
    Split split{.length = 1, .part = 1};

    bool in_one_block() const {
        return kernel == FilterKernel::taps || kernel == FilterKernel::rows;
    }
    // Whether blocks leave their sums in scratch, to be added in order.
    bool leaves_parts(Write write) const {
        return split.parts() > 1 || (in_one_block() && write == Write::add);
    }
    size_t parts_bytes(const ConvShape& s) const {
        return leaves_parts(Write::add)
                   ? size_t(split.parts()) * size_t(s.w.stored()) * sizeof(float)
                   : 0;
    }
};
FilterGradientPlan filter_gradient_plan(const ConvShape&);

// Panels of 64 rows of x beyond dy's that the last of nine taps reaches into, where maps have rows of q + 1 places; and
// how many of them the ring of wgmma_taps_kernel has room for.
constexpr int taps_lead(int stride, int q) {
    const int furthest = stride == 1 ? 2 * (q + 1) + 2 : q + 2;
    return (63 + furthest) / 64;
}
constexpr int most_taps_lead(int stride) { return stride == 1 ? 8 : 1; }

}  // namespace fp
