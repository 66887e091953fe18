#include <algorithm>
#include <numeric>

#include "kernels/cuda/plan/conv_plan.h"

namespace fp {

ConvSizes turned_round(const ConvSizes& g) {
    return {.n = g.n,
            .h = g.p,
            .w = g.q,
            .c = g.y_c,
            .k = g.c,
            .r = g.r,
            .s = g.s,
            .p = g.h,
            .q = g.w,
            .y_c = g.c,
            .stride = 1,
            .pad = g.r - 1 - g.pad};
}

ConvSizes sizes_of(const ConvShape& s, Pass pass) {
    const ConvSizes g = ConvSizes::of(s);
    return pass == Pass::data ? turned_round(g) : g;
}

namespace {

// Positions of the padded sequence of pixels: one more per row, one more row per sample.
int64_t padded_pixels(const ConvSizes& g) { return int64_t(g.n) * (g.h + 1) * (g.w + 1); }
int patch_rows(const ConvSizes& g, TileSize tile) { return tile.m + 2 * (g.w + 2); }

// How many stages of `bytes` fit into shared memory beside `others` bytes.
int stages_beside(int others, int bytes) {
    return std::min(kMostStages, (kMostSharedBytes - kStreamBarrierBytes - others) / bytes);
}
int patch_bytes(const ConvSizes& g, TileSize tile) { return int(round_up(patch_rows(g, tile), 8)) * kPanelRowBytes; }
int patch_stages(const ConvSizes& g, TileSize tile) {
    const int others = kPatches * patch_bytes(g, tile) + 2 * kStagingBytesOfConsumer + stream_moments_bytes(tile);
    return stages_beside(others, tile.n * kPanelRowBytes);
}

StreamPlan stream_plan(const ConvSizes& g, TileSize tile, bool patches, Pass pass) {
    const int64_t pixels = patches ? padded_pixels(g) : g.pixels_out();
    const int steps = g.r * g.s * int(ceil_div(g.c, 64)), consumers = stream_consumers(tile);
    StreamPlan plan{.across = int(ceil_div(g.y_c, tile.n))};
    plan.tiles = int(ceil_div(pixels, tile.m)) * plan.across;
    const int wanted = conv_forced().blocks > 0 ? conv_forced().blocks : kProcessors;
    plan.blocks = std::min(plan.tiles, wanted);
    plan.strands = std::lcm(plan.blocks, plan.across);
    if (patches) {
        plan.patch_rows = patch_rows(g, tile);
        plan.patch_bytes = patch_bytes(g, tile);
        plan.pitch = g.w + 1;
        plan.lines = g.h + 1;
        plan.stages = patch_stages(g, tile);
        plan.resident = plan.across == 1 && steps <= plan.stages;
        if (plan.resident) plan.stages = steps;
        // While a warpgroup waits for its turn it frees no stages, so all stages that the one before it uses until then
        // must fit the ring.
        plan.skew = std::min(kPatchSide, plan.stages / kPatchSide) - 1;
    } else {
        const int others =
            consumers * kStagingBytesOfConsumer + (pass == Pass::forward ? stream_moments_bytes(tile) : 0);
        plan.stages = stages_beside(others, (tile.m + tile.n) * kPanelRowBytes);
        plan.skew = std::min({steps - 1, plan.stages - 1, (plan.stages - 1) / (consumers - 1)});
    }
    return plan;
}

}  // namespace

// A copy loads at most 1024 pixels. Tiles of 64 outputs multiply a row of taps together, so the ring needs at least two
// rows of stages; with 128 outputs two taps are in use while two are loaded.
bool fits_patches(const ConvSizes& g, TileSize tile) {
    return g.r == 3 && g.s == 3 && g.pad == 1 && g.stride == 1 && padded_pixels(g) < int64_t(1) << 30 &&
           patch_rows(g, tile) <= 1024 && patch_stages(g, tile) >= (tile.n == 64 ? 6 : 4);
}

PixelPlan pixel_plan(const ConvShape& s, Pass pass, ConvChoice choice) {
    PixelPlan plan{.kernel = choice.kernel, .tile = choice.tile};
    if (choice.kernel != ConvKernel::pixels)
        plan.stream = stream_plan(sizes_of(s, pass), choice.tile, choice.kernel == ConvKernel::patch, pass);
    return plan;
}

}  // namespace fp
