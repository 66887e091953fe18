#include <algorithm>

#include "kernels/cuda/plan/conv_plan.h"

namespace fp {

ConvForced& conv_forced() {
    static ConvForced forced;
    return forced;
}

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

Moments::Rows PixelPlan::moments_rows() const {
    // Of stream and patches a warpgroup's pixels, so that warpgroups need not meet.
    if (kernel == PixelKernel::tiles) return tile.m;
    return {tile.m / stream_consumers(tile),
            kernel == PixelKernel::patches ? Moments::Line::padded : Moments::Line::pixels};
}

namespace {

constexpr TileSize kStreamTiles[] = {{256, 64}, {256, 128}, {128, 256}, {192, 256}};
constexpr TileSize kPatchTiles[] = {{256, 64}, {256, 128}};

// Pixels of the padded line: a place behind each row, a row of places behind each sample.
int64_t padded_pixels(const ConvSizes& g) { return int64_t(g.n) * (g.h + 1) * (g.w + 1); }
int patch_rows(const ConvSizes& g, TileSize tile) { return tile.m + 2 * (g.w + 2); }

// What is left for stages of `bytes` each.
int stages_beside(int others, int bytes) {
    return std::min(kMostStages, (kMostSharedBytes - kStreamBarrierBytes - others) / bytes);
}
int patch_bytes(const ConvSizes& g, TileSize tile) {
    return int(round_up(patch_rows(g, tile), 8)) * kPanelRowBytes;
}
int patch_stages(const ConvSizes& g, TileSize tile) {
    const int others = kPatches * patch_bytes(g, tile) + 2 * kStagingBytesOfConsumer;
    return stages_beside(others, tile.n * kPanelRowBytes);
}
TileSize patch_tile(const ConvSizes& g) { return {256, g.y_c <= 64 ? 64 : 128}; }

// A copy brings at most 1024 pixels, a row of taps is multiplied together where outputs are few (so two rows of stages
// at least), and two taps of 128 outputs want as many again on their way.
bool fits_patches(const ConvSizes& g, TileSize tile) {
    return g.r == 3 && g.s == 3 && g.pad == 1 && g.stride == 1 &&
           padded_pixels(g) < int64_t(1) << 30 && patch_rows(g, tile) <= 1024 &&
           patch_stages(g, tile) >= (tile.n == 64 ? 6 : 4);
}

// Patches pay where L2 cannot bring each pixel nine times, and cost the products of the padded line's empty places: of
// 64 outputs 64@56 (4 % of them) 129 with against 235 a tap at a time on one block a tile; of 128 outputs 64>128@112
// (2 %) 945, but 128@28 (7 %) with moments 130 with and 122 without; 512@28 1456 with and 1301 without.
bool pays_patches(const ConvSizes& g) {
    const double most = g.y_c <= 64 ? 1.1 : g.y_c <= 128 ? 1.05 : 0;
    return double(padded_pixels(g)) <= most * g.n * g.h * g.w;
}

// Outputs that the busiest of the multiprocessors has to compute, where one block runs on each.
double busiest(int64_t pixels, int outputs, TileSize t) {
    const int64_t tiles = ceil_div(pixels, t.m) * ceil_div(outputs, t.n);
    return double(ceil_div(tiles, kProcessors)) * t.m * t.n;
}

// The tile that ends soonest. Narrow ones bring more bytes for the same products; with what we take for that the table
// of lines (256@14 99 with moments, 105 in tiles of 128x256) is answered rightly.
TileSize stream_tile(const ConvSizes& g) {
    const auto cost = [&](TileSize t) {
        const double slower = t.n == 64 ? 1.4 : t.n == 128 ? 1.15 : t.m == 128 ? 1.05 : 1;
        return busiest(g.pixels_out(), g.y_c, t) * slower;
    };
    return *std::min_element(std::begin(kStreamTiles), std::end(kStreamTiles),
                             [&](TileSize a, TileSize b) { return cost(a) < cost(b); });
}

StreamPlan stream_plan(const ConvSizes& g, TileSize tile, bool patches) {
    const int64_t pixels = patches ? padded_pixels(g) : g.pixels_out();
    const int steps = g.r * g.s * int(ceil_div(g.c, 64)), consumers = stream_consumers(tile);
    StreamPlan plan{.across = int(ceil_div(g.y_c, tile.n))};
    plan.tiles = int(ceil_div(pixels, tile.m)) * plan.across;
    const int wanted = conv_forced().blocks > 0 ? conv_forced().blocks : kProcessors;
    plan.blocks = std::min(plan.tiles, wanted);
    if (patches) {
        plan.patch_rows = patch_rows(g, tile);
        plan.patch_bytes = patch_bytes(g, tile);
        plan.pitch = g.w + 1;
        plan.lines = g.h + 1;
        plan.stages = patch_stages(g, tile);
        plan.resident = plan.across == 1 && steps <= plan.stages;
        if (plan.resident) plan.stages = steps;
        // Who waits for a turn holds the ring: what the one before does until then must be in it.
        plan.skew = std::min(kPatchSide, plan.stages / kPatchSide) - 1;
    } else {
        plan.stages =
            stages_beside(consumers * kStagingBytesOfConsumer, (tile.m + tile.n) * kPanelRowBytes);
        plan.skew = std::min({steps - 1, plan.stages - 1, (plan.stages - 1) / (consumers - 1)});
    }
    return plan;
}

PixelPlan on_stream(const ConvSizes& g, TileSize tile, bool patches) {
    return {.kernel = patches ? PixelKernel::patches : PixelKernel::stream,
            .tile = tile,
            .stream = stream_plan(g, tile, patches)};
}

template <class Tiles>
bool has(const Tiles& tiles, TileSize tile) {
    return std::find(std::begin(tiles), std::end(tiles), tile) != std::end(tiles);
}

PixelPlan forced_plan(const ConvShape& s, Pass pass, const ConvSizes& g, PixelKernel kernel) {
    if (kernel == PixelKernel::mma_sync) return {};
    FP_REQUIRE(fits_wgmma(s, pass), Exit::usage, "conv: warpgroups cannot do this shape");
    TileSize tile = conv_forced().tile;
    const bool given = tile.m > 0;
    if (kernel == PixelKernel::tiles) {
        if (!given) tile = wgmma_tile_of(s, pass).tile;
        const auto is = [&](const TileCost& c) { return c.tile == tile; };
        FP_REQUIRE(
            pass == Pass::forward
                ? std::any_of(std::begin(kWgmmaTiles), std::end(kWgmmaTiles), is)
                : std::any_of(std::begin(kWgmmaAcrossTiles), std::end(kWgmmaAcrossTiles), is),
            Exit::usage, "conv: no tile ", tile.m, "x", tile.n);
        return {.kernel = kernel, .tile = tile};
    }
    const bool patches = kernel == PixelKernel::patches;
    if (!given) tile = patches ? patch_tile(g) : stream_tile(g);
    FP_REQUIRE(patches ? has(kPatchTiles, tile) && fits_patches(g, tile) : has(kStreamTiles, tile),
               Exit::usage, "conv: no such tile, or no patches of it: ", tile.m, "x", tile.n);
    return on_stream(g, tile, patches);
}

}  // namespace

PixelPlan pixel_plan(const ConvShape& s, Pass pass) {
    const ConvSizes of = ConvSizes::of(s), g = pass == Pass::data ? turned_round(of) : of;
    if (const auto kernel = conv_forced().pixels) return forced_plan(s, pass, g, *kernel);
    if (!takes_wgmma(s, pass)) return {};
    const TileSize patch = patch_tile(g);
    const bool patches = fits_patches(g, patch) && pays_patches(g);
    const TileSize walked = patches ? patch : stream_tile(g), alone = wgmma_tile_of(s, pass).tile;
    // Blocks that walk hide a tile's end behind the next one's products: dx of 512@7 83 against 133 by tiles alone, of
    // 256>64 1x1 @56 167 against 280, of 256@14 91 against 100, of 128@28 113 against 113; with patches for 64 outputs,
    // 64@56, 114 against 236. But their tiles are large: few pixels, and outputs that would fill a small part of
    // them, are better off with one block a tile (121>149@14 40 in tiles of 128x160).
    const int64_t pixels = patches ? padded_pixels(g) : g.pixels_out();
    const double worth = patches && g.y_c <= 64 ? 1.7 : 1.1;
    if (busiest(pixels, g.y_c, walked) <= worth * busiest(g.pixels_out(), g.y_c, alone))
        return on_stream(g, walked, patches);
    return {.kernel = PixelKernel::tiles, .tile = alone};
}

}  // namespace fp
