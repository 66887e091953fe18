// Convolution in bf16 on Hopper: what starts its warpgroup products, whose files have formulas, shapes, threads,
// traffic, bound and model.
//
//   forward, and dx at stride 1   conv_stream.cuh where its tiles fill the device, else conv_wgmma.cuh
//   dx at stride 2                conv_wgmma_strided.cuh: 3x3 with padding 1, 1x1
//   dw of 3x3 with padding 1      conv_wgmma_taps.cuh, but on small maps at stride 2
//   dw                            conv_wgmma_filter.cuh
//   of few channels, and the stem conv_halo.cuh, on mma.sync with the input's patch in shared memory
//   all else                      conv_tensor.cuh, on mma.sync: what these do not fit (the image's 4 channels, dx at
//                                 other strides), and gradients where products.h expects less of them
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "kernels/cuda/columns.cuh"
#include "kernels/cuda/conv_halo.h"
#include "kernels/cuda/conv_stream.cuh"
#include "kernels/cuda/conv_wgmma.cuh"
#include "kernels/cuda/conv_wgmma_filter.cuh"
#include "kernels/cuda/conv_wgmma_strided.cuh"
#include "kernels/cuda/conv_wgmma_taps.cuh"
#include "kernels/cuda/kept.cuh"
#include "kernels/cuda/parts.cuh"
#include "kernels/products.h"
#include "kernels/prototype.h"

namespace fp::FP_MACHINE {

extern const Conv conv_bf16;

namespace {

// A filter in bf16: kept, or rounded into `scratch` now.
const void* rounded(const ConvShape& s, const par* w, void* scratch, Stream stream) {
    if (const bf16* kept = kept_weights(w, s.w.stored())) return kept;
    conv_bf16.prepare(s, false, false, w, scratch, stream);
    return scratch;
}

template <int kM_, int kN_>
struct Tile {
    static constexpr int kM = kM_, kN = kN_;
};
// start(Tile) with the one that `size` names, of kWgmmaAcrossTiles and of kWgmmaTiles.
template <class Start>
void with_across_tile(TileSize size, Start start) {
    if (size == TileSize{256, 128}) return start(Tile<256, 128>());
    if (size == TileSize{256, 64}) return start(Tile<256, 64>());
    if (size == TileSize{128, 128}) return start(Tile<128, 128>());
    start(Tile<128, 64>());
}
template <class Start>
void with_tile(TileSize size, Start start) {
    if (size == TileSize{128, 96}) return start(Tile<128, 96>());
    if (size == TileSize{128, 32}) return start(Tile<128, 32>());
    if (size == TileSize{128, 160}) return start(Tile<128, 160>());
    if (size == TileSize{128, 192}) return start(Tile<128, 192>());
    if (size == TileSize{256, 96}) return start(Tile<256, 96>());
    with_across_tile(size, start);
}
// Prototype: FP_WGMMA_TILE=MxN, one of with_tile's, for every forward pass.
TileSize tile_of(const ConvShape& s, Pass pass) {
    static const TileSize forced = [] {
        TileSize t{};
        if (const char* value = std::getenv("FP_WGMMA_TILE"))
            std::sscanf(value, "%dx%d", &t.m, &t.n);
        return t;
    }();
    return pass == Pass::forward && forced.m > 0 ? forced : wgmma_tile_of(s, pass).tile;
}

TensorMapSpec pixel_spec(const ConvSizes& g, const bf16* x, int pixels) {
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
TensorMap pixel_map(const ConvSizes& g, const bf16* x, int pixels) {
    return encode(pixel_spec(g, x, pixels));
}
// The map with a column of zeros before each row and a row of them before each sample, as one line of pixels.
TensorMap patch_map(const ConvSizes& g, const bf16* x, int pixels) {
    TensorMapSpec spec = pixel_spec(g, x, pixels);
    for (int i = 0; i < 2; ++i) spec.lower[i] = -1, spec.upper[i] = 0;
    return encode(spec);
}

// ---- conv_stream.cuh: which of its tiles, if any.
// A prototype's switches:
//   FP_CONV=old|stream      never, or wherever it fits; else where its tiles fill the device as well as the others'
//   FP_CONV_PATCH=0|1       patches never, or wherever they fit; else for up to 128 outputs where zeros are a tenth of the work at most
//   FP_CONV_TILE=MxN        256x64, 256x128, 128x256 or 192x256 where there are no patches
//   FP_CONV_HALVES=0        no halves of tiles in the last round
//   FP_CONV_BLOCKS=N        so many blocks, not one a multiprocessor
//   FP_CONV_SKEW=STEPS      how far the warpgroups keep from each other
bool is(const char* variable, const char* value) {
    const char* given = std::getenv(variable);
    return given && std::strcmp(given, value) == 0;
}

constexpr int kMostSharedBytes = 232448;

struct StreamChoice {
    bool taken = false, patch = false;
    TileSize tile{};
    int consumers() const { return tile.m == 192 ? 3 : 2; }
    // Pixels of a chunk of moments; below 0 of the line that patches are read from (kernels.h, Moments).
    int moments_rows() const { return patch ? -tile.m / 2 : tile.m / consumers(); }
};

constexpr TileSize kStreamTiles[] = {{256, 64}, {256, 128}, {128, 256}, {192, 256}};

// With a line of zeros after each row and each map.
int64_t line_pixels(const ConvSizes& g) { return int64_t(g.n) * (g.h + 1) * (g.w + 1); }
int patch_rows(const ConvSizes& g, int rows) { return rows + 2 * (g.w + 2); }
int patch_stages(const ConvSizes& g, TileSize tile) {
    const int patch = int(round_up(patch_rows(g, tile.m), 8)) * kRowBytes;
    const int left = kMostSharedBytes - int(sizeof(StreamBarriers)) - 8 * 2 * kPieceBytes -
                     kPatches * patch;
    return std::min(kMostStages, left / (tile.n * kRowBytes));
}

// `old`: the tile of conv_wgmma.cuh for the same.
StreamChoice stream_choice(const ConvSizes& g, TileSize old) {
    if (is("FP_CONV", "old")) return {};
    StreamChoice choice{.taken = true};
    const bool window = g.r == 3 && g.s == 3 && g.pad == 1 && g.stride == 1;
    if (window && !is("FP_CONV_PATCH", "0") && line_pixels(g) < int64_t(1) << 30) {
        choice.tile = {256, g.y_c <= 64 ? 64 : 128};
        const bool few = g.y_c <= 128 && double(line_pixels(g)) <= 1.1 * g.n * g.h * g.w;
        choice.patch = patch_rows(g, 256) <= 1024 && patch_stages(g, choice.tile) >= (g.y_c <= 64 ? 6 : 4) &&
                       (few || is("FP_CONV_PATCH", "1"));
    }
    const auto work = [&](int64_t pixels, TileSize t) {  // of the longest multiprocessor
        const int64_t tiles = ceil_div(pixels, t.m) * ceil_div(g.y_c, t.n);
        return double(ceil_div(tiles, kProcessors)) * t.m * t.n;
    };
    if (!choice.patch) {
        const char* given = std::getenv("FP_CONV_TILE");
        double least = 0;
        for (const TileSize t : kStreamTiles) {
            if (given && text(t.m, "x", t.n) == given) {
                choice.tile = t;
                break;
            }
            // Narrow tiles bring more bytes for the same products.
            const double slower = t.n == 64 ? 1.4 : t.n == 128 ? 1.15 : t.m == 128 ? 1.05 : 1;
            const double now = work(g.pixels_out(), t) * slower;
            if (least > 0 && now >= least) continue;
            least = now;
            choice.tile = t;
        }
    }
    if (is("FP_CONV", "stream")) return choice;
    choice.taken = work(choice.patch ? line_pixels(g) : g.pixels_out(), choice.tile) <=
                   1.1 * work(g.pixels_out(), old);
    return choice;
}

template <class T>
void start_stream(const ConvSizes& g,
                  const bf16* x,
                  const TensorMap& filters,
                  const Epilogue& to,
                  Stream stream) {
    FP_REQUIRE(!to.residual || !to.moments.data, Exit::usage, "conv: moments with a residual");
    const int64_t pixels = T::kPatch ? line_pixels(g) : g.pixels_out();
    const int across = int(ceil_div(g.y_c, T::kOutputs));
    const int steps = g.r * g.s * int(ceil_div(g.c, kChunk));
    const char* given_blocks = std::getenv("FP_CONV_BLOCKS");
    const int blocks = given_blocks ? std::atoi(given_blocks) : kProcessors;
    const int down = int(ceil_div(pixels, T::kRows));
    StreamPlan plan{.tiles = down * across, .across = across, .whole = down};
    // A last round of at most half the blocks: tiles of half the size for twice as many.
    const int rest = plan.tiles % blocks;
    if (T::kConsumers == 2 && across == 1 && down > blocks && rest > 0 && 2 * rest <= blocks &&
        !is("FP_CONV_HALVES", "0")) {
        plan.whole = down - rest;
        plan.tiles = plan.whole +
                     int(ceil_div(pixels - int64_t(plan.whole) * T::kRows, T::kConsumerRows));
    }
    if (T::kPatch) {
        plan.patch_rows = patch_rows(g, T::kRows);
        plan.patch_bytes = int(round_up(plan.patch_rows, 8)) * kRowBytes;
        plan.pitch = g.w + 1;
        plan.lines = g.h + 1;
        plan.stages = patch_stages(g, {T::kRows, T::kOutputs});
        plan.resident = across == 1 && steps <= plan.stages;
        if (plan.resident) plan.stages = steps;
    } else {
        const int left = kMostSharedBytes - int(StreamMemory<T>::bytes(0, 0));
        plan.stages = std::min(kMostStages, left / T::kStageBytes);
    }
    FP_REQUIRE(plan.stages >= T::kLeastStages, Exit::usage, "conv: ", plan.stages, " stages");
    // Who waits for a turn holds the ring: what the one before has to do until then must be in it.
    const int most = T::kPatch ? std::min(kPatchSide, plan.stages / kPatchSide) - 1
                               : std::min(steps, plan.stages) - 1;
    plan.skew = T::kPatch ? most : std::min(most, (plan.stages - 1) / (T::kConsumers - 1));
    if (const char* given = std::getenv("FP_CONV_SKEW"))
        plan.skew = std::clamp(std::atoi(given), 0, most);
    const Grid grid{.blocks = std::min(plan.tiles, blocks),
                    .threads = T::kThreads,
                    .shared_bytes = StreamMemory<T>::bytes(plan.stages, plan.patch_bytes)};
    launch(wgmma_stream_kernel<T>, grid, stream,
           T::kPatch ? patch_map(g, x, plan.patch_rows) : pixel_map(g, x, T::kRows), filters, g,
           plan, to);
}

// The convolution `g` of `x`, with filters as those of the convolution `of_filters` lie.
template <template <int> class Filters>
void start_pixels(TileSize size,
                  const ConvSizes& g,
                  const bf16* x,
                  const ConvSizes& of_filters,
                  const bf16* w,
                  const Epilogue& to,
                  Stream stream) {
    const StreamChoice choice = stream_choice(g, size);
    if (choice.taken) {
        const auto on = [&]<int kConsumers, int kProducts, int kOutputs, bool kPatch>() {
            using T = StreamTile<kConsumers, kProducts, kOutputs, Filters, kPatch>;
            start_stream<T>(g, x, T::Filters::map(of_filters, w), to, stream);
        };
        if (choice.patch && choice.tile.n == 64) return on.template operator()<2, 2, 64, true>();
        if (choice.patch) return on.template operator()<2, 2, 128, true>();
        if (choice.tile.n == 64) return on.template operator()<2, 2, 64, false>();
        if (choice.tile.n == 128) return on.template operator()<2, 2, 128, false>();
        if (choice.tile.m == 128) return on.template operator()<2, 1, 256, false>();
        return on.template operator()<3, 1, 256, false>();
    }
    const auto start = [&](auto tile) {
        using T = PixelTile<tile.kM, tile.kN, Filters>;
        const Grid grid{.blocks = ceil_div(g.pixels_out(), T::kPixels),
                        .blocks_y = ceil_div(g.y_c, T::kOutputs),
                        .threads = kRingThreads,
                        .shared_bytes = sizeof(typename T::Shared)};
        launch(wgmma_pixels_kernel<T>, grid, stream, pixel_map(g, x, T::kPixels),
               T::Filters::map(of_filters, w), g, to);
    };
    if constexpr (Filters<kChunk>::kOperand == Operand::rows)
        with_tile(size, start);
    else
        with_across_tile(size, start);
}

void wgmma_forward(
    const ConvShape& s, const act* x, const void* w, const Epilogue& to, Stream stream) {
    const ConvSizes g = ConvSizes::of(s);
    start_pixels<FilterRows>(tile_of(s, Pass::forward), g, static_cast<const bf16*>(x), g,
                             static_cast<const bf16*>(w), to, stream);
}

// The gradient of the input as a convolution of dy.
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

// FP_FILTER_PARTS: so many parts instead.
Split or_given(const Split& split) {
    const int parts = prototype("FP_FILTER_PARTS", 0);
    if (parts == 0) return split;
    return {.length = split.length, .part = round_up(ceil_div(split.length, parts), 64)};
}
Split filter_split(const ConvShape& s) {
    return or_given(wgmma_split_of(wgmma_product_of(s, Pass::filter), tile_of(s, Pass::filter)));
}

// ---- the filters' gradient with all taps in one block

// FP_FILTER: 0 the kernel as it was, 1 with counters; 2 all taps in one block, 3 the same with a product for each tap;
// 4 and 5 the same with x's rows brought for each row of the window, at stride 1. 2 to 5 fall back to 1 where the window
// is not 3x3. 6 is 1, also where the model prefers mma.sync. Unset: by the map.
enum class FilterKernel { old, counters, taps, taps_apart, rows, rows_apart };

FilterKernel filter_kernel(const ConvShape& s) {
    const int choice = prototype("FP_FILTER", -1);
    if (choice == 0 || choice == 1) return FilterKernel(choice);
    if (choice == 6) return FilterKernel::counters;
    const bool fits = s.w.r == 3 && s.w.s == 3 && s.pad == 1 && s.x.stored_c() % 8 == 0;
    if (!fits || (s.stride != 1 && s.stride != 2)) return FilterKernel::counters;
    if (s.stride == 1 && choice >= 4) return FilterKernel(choice);
    const ConvSizes g = ConvSizes::of(s);
    const bool reaches = s.stride == 1 ? TapTile<1, true>::lead(g) <= TapTile<1, true>::kMostLead
                                       : TapTile<2, true>::lead(g) <= TapTile<2, true>::kMostLead;
    if (choice >= 0 && !reaches) return FilterKernel::counters;
    if (choice >= 0) return choice % 2 == 0 ? FilterKernel::taps : FilterKernel::taps_apart;
    // Padding costs products: a column for x's rows, a row and a column for all taps, none for the counters'.
    if (s.stride == 1 && (g.q <= 20 || !reaches)) return FilterKernel::rows;
    return reaches && g.q >= 10 ? FilterKernel::taps : FilterKernel::counters;
}
// What of panels of 64 channels and 64 filters holds something. Products of full ones run some three times as fast as
// mma.sync's.
double share_of_panels(const ConvShape& s) {
    const double c = s.x.stored_c(), k = s.w.k;
    return c * k / (double(round_up(s.x.stored_c(), kChunk)) * double(round_up(s.w.k, kChunk)));
}
constexpr double kLeastShare = 0.3;

bool in_one_block(FilterKernel kernel) { return kernel >= FilterKernel::taps; }
bool by_rows(FilterKernel kernel) { return kernel >= FilterKernel::rows; }
bool side_by_side(FilterKernel kernel) {
    return kernel == FilterKernel::taps || kernel == FilterKernel::rows;
}

bool takes_filter(const ConvShape& s, FilterKernel kernel) {
    if (prototype("FP_FILTER", -1) == 6) return fits_wgmma(s, Pass::filter);
    return takes_wgmma(s, Pass::filter) ||
           (in_one_block(kernel) && share_of_panels(s) >= kLeastShare);
}

Split split_of(const ConvShape& s, FilterKernel kernel) {
    if (!in_one_block(kernel)) return filter_split(s);
    const int rows = s.p() + int(!by_rows(kernel));
    const int64_t pixels = int64_t(s.x.n) * rows * (s.q() + 1);
    const int64_t tiles = ceil_div(s.x.stored_c(), kChunk) * ceil_div(s.w.k, kChunk);
    return or_given(split_in_waves(round_up(pixels, 64), tiles, 64));
}

// Of `rows` x `columns` pixels of each sample, every `stride`th from a place on; `pixels` of them a copy.
TensorMap sequence_map(const bf16* base,
                       const ConvSizes& g,
                       int begin_w,
                       int begin_h,
                       int columns,
                       int rows,
                       int stride,
                       int pixels) {
    return encode({.base = base,
                   .rank = 4,
                   .size = {g.c, g.w, g.h, g.n},
                   .stride = {1, g.c, int64_t(g.w) * g.c, int64_t(g.h) * g.w * g.c},
                   .im2col = true,
                   .pixels = pixels,
                   .lower = {begin_w, begin_h},
                   .upper = {begin_w + (columns - 1) * stride + 1 - g.w,
                             begin_h + (rows - 1) * stride + 1 - g.h},
                   .step = stride});
}
ConvSizes sizes_of_gradient(const ConvSizes& g) {
    ConvSizes of = g;
    of.h = g.p, of.w = g.q, of.c = g.y_c;
    return of;
}
Grid taps_grid(const ConvSizes& g, const Split& split, int threads, size_t shared_bytes) {
    return {.blocks = ceil_div(g.c, kChunk),
            .blocks_y = ceil_div(g.k, kChunk),
            .blocks_z = split.parts(),
            .threads = threads,
            .shared_bytes = shared_bytes};
}

template <class T>
void start_taps(const ConvSizes& g,
                const bf16* x,
                const bf16* dy,
                float* out,
                const Split& split,
                Stream stream) {
    typename T::Maps maps;
    for (int i = 0; i < T::kSequences; ++i)
        maps.x[i] = sequence_map(x, g, sequence_begin<T>(i % 2), sequence_begin<T>(i / 2), g.q + 1,
                                 g.p + 1, T::kStride, T::kPanelPixels);
    maps.dy = sequence_map(dy, sizes_of_gradient(g), 0, 0, g.q + 1, g.p + 1, 1, T::kPanelPixels);
    launch(wgmma_taps_kernel<T>, taps_grid(g, split, T::kThreads, sizeof(typename T::Shared)),
           stream, maps, g, out, split);
}

template <class T>
void start_rows(const ConvSizes& g,
                const bf16* x,
                const bf16* dy,
                float* out,
                const Split& split,
                Stream stream) {
    launch(wgmma_window_rows_kernel<T>,
           taps_grid(g, split, T::kThreads, sizeof(typename T::Shared)), stream,
           sequence_map(x, g, -1, -1, g.q + 1, g.p, 1, T::kPixels),
           sequence_map(dy, sizes_of_gradient(g), 0, 0, g.q + 1, g.p, 1, T::kPanelPixels), g, out,
           split);
}

void filter_in_one_block(FilterKernel kernel,
                         const ConvSizes& g,
                         const bf16* x,
                         const bf16* dy,
                         float* out,
                         const Split& split,
                         Stream stream) {
    const auto taps = [&](auto tile) { start_taps<decltype(tile)>(g, x, dy, out, split, stream); };
    const auto rows = [&](auto tile) { start_rows<decltype(tile)>(g, x, dy, out, split, stream); };
    const bool wide = side_by_side(kernel);
    if (by_rows(kernel)) return wide ? rows(RowTile<true>()) : rows(RowTile<false>());
    if (g.stride == 1) return wide ? taps(TapTile<1, true>()) : taps(TapTile<1, false>());
    wide ? taps(TapTile<2, true>()) : taps(TapTile<2, false>());
}

// ---- the gradient of the input at stride 2

// FP_DATA2: 0 on mma.sync (conv_tensor.cuh), 1 tiles of 256 pixels, 2 of 128 pixels and two blocks on a
// multiprocessor; for up to 64 channels also 3, two blocks of 256 pixels, and 4, three of 128. Unset: long sums in the
// large tile, short ones in the small, where one block's products hide another's stores.
int strided_choice() { return prototype("FP_DATA2", -1); }

bool takes_strided(const ConvShape& s) {
    const bool whole = s.w.r == 3 && s.w.s == 3 && s.pad == 1;
    const bool one = s.w.r == 1 && s.w.s == 1 && s.pad == 0;
    return strided_choice() != 0 && s.stride == 2 && (whole || one) && s.x.stored_c() % 8 == 0 &&
           s.y().stored_c() % 8 == 0 && share_of_panels(s) >= kLeastShare;
}

StridedPlan strided_plan(const ConvSizes& g) {
    StridedPlan plan{.count = 0, .fill = false, .at = {}};
    const ParityClasses all = ParityClasses::of(g);
    for (int i = 0; i < all.count; ++i) {
        const ParityClass& of = all.at[i];
        if (of.taps_r * of.taps_s == 0) plan.fill = true;
        if (of.taps_r * of.taps_s * of.rows * of.columns == 0) continue;
        plan.at[plan.count++] = {of, of.q_shift - (of.taps_s - 1), of.p_shift - (of.taps_r - 1)};
    }
    std::stable_sort(plan.at, plan.at + plan.count, [](const auto& a, const auto& b) {
        return a.of.taps_r * a.of.taps_s > b.of.taps_r * b.of.taps_s;
    });
    return plan;
}

template <class T>
void start_strided(
    const ConvSizes& g, const bf16* dy, const bf16* w, bf16* dx, Write write, Stream stream) {
    const StridedPlan plan = strided_plan(g);
    StridedMaps maps;
    int64_t most = 0;
    for (int i = 0; i < plan.count; ++i) {
        const auto& [of, begin_w, begin_h] = plan.at[i];
        most = std::max(most, int64_t(g.n) * of.rows * of.columns);
        maps.pixels[i] =
            encode({.base = dy,
                    .rank = 4,
                    .size = {g.y_c, g.q, g.p, g.n},
                    .stride = {1, g.y_c, int64_t(g.q) * g.y_c, int64_t(g.p) * g.q * g.y_c},
                    .im2col = true,
                    .pixels = T::kPixels,
                    .lower = {begin_w, begin_h},
                    .upper = {begin_w + of.columns - g.q, begin_h + of.rows - g.p},
                    .step = 1});
    }
    maps.filters = FilterColumns<kChunk>::map(g, w);
    const Grid grid{.blocks = ceil_div(g.c, T::kOutputs) * plan.count * ceil_div(most, T::kPixels),
                    .threads = T::kThreads,
                    .shared_bytes = sizeof(typename T::Shared)};
    launch(wgmma_strided_kernel<T>, grid, stream, maps, g, plan, dx, write);
}

void strided_data(
    const ConvSizes& g, const bf16* dy, const bf16* w, bf16* dx, Write write, Stream stream) {
    const auto start = [&](auto tile) {
        start_strided<decltype(tile)>(g, dy, w, dx, write, stream);
    };
    const bool narrow = g.c <= 64, long_sum = g.r == 3 && g.y_c >= 512;
    const int choice = strided_choice();
    if (choice == 1 || (choice < 0 && long_sum))
        return narrow ? start(StridedTile<256, 64, 4, 1>()) : start(StridedTile<256, 128, 4, 1>());
    if (choice == 3 && narrow) return start(StridedTile<256, 64, 2, 2>());
    if (choice == 4 && narrow) return start(StridedTile<128, 64, 3, 3>());
    narrow ? start(StridedTile<128, 64, 4, 2>()) : start(StridedTile<128, 128, 3, 2>());
}

// ---- the ops of kernels.h. The constants of conv_bf16.cu are another file's: so they are called, not copied.

size_t scratch_bytes(const ConvShape& s) {
    size_t of_others = conv_bf16.scratch_bytes(s);
    if (takes_halo(s, Pass::filter))
        of_others = std::max(of_others, halo_filter_scratch_bytes(s));
    const FilterKernel kernel = filter_kernel(s);
    if (!takes_filter(s, kernel)) return of_others;
    const int parts = split_of(s, kernel).parts();
    const bool all_leave = in_one_block(kernel);  // a part, even where it is the only one
    return std::max(of_others,
                    parts > 1 || all_leave ? parts * size_t(s.w.stored()) * sizeof(float) : 0);
}

int moments_rows(const ConvShape& s) {
    if (takes_halo(s, Pass::forward)) return halo_moments_rows(s);
    if (!takes_wgmma(s, Pass::forward)) return conv_bf16.moments_rows(s);
    const TileSize tile = tile_of(s, Pass::forward);
    const StreamChoice choice = stream_choice(ConvSizes::of(s), tile);
    return choice.taken ? choice.moments_rows() : tile.m;
}

void forward_moments(const ConvShape& s,
                     const act* x,
                     const par* w,
                     const par* bias,
                     act* y,
                     const Moments& moments,
                     void* scratch,
                     Stream stream) {
    if (takes_halo(s, Pass::forward)) {
        conv_bf16.prepare(s, false, false, w, scratch, stream);
        const MomentsOut out{.data = static_cast<float*>(moments.data),
                             .chunks = Moments::chunks(s.y(), halo_moments_rows(s))};
        return halo_convolution(
            s, Pass::forward, static_cast<const bf16*>(x), static_cast<const bf16*>(scratch),
            {static_cast<const float*>(bias), nullptr, false, static_cast<bf16*>(y), out}, stream);
    }
    if (!takes_wgmma(s, Pass::forward))
        return conv_bf16.forward_moments(s, x, w, bias, y, moments, scratch, stream);
    const void* filter = rounded(s, w, scratch, stream);
    const MomentsOut out{.data = static_cast<float*>(moments.data),
                         .chunks = Moments::chunks(s.y(), moments_rows(s))};
    wgmma_forward(s, x, filter,
                  {static_cast<const float*>(bias), nullptr, false, static_cast<bf16*>(y), out},
                  stream);
}

void forward(const ConvShape& s,
             const act* x,
             const par* w,
             const par* bias,
             act* y,
             void* scratch,
             Stream stream) {
    forward_moments(s, x, w, bias, y, {}, scratch, stream);
}

void infer(const ConvShape& s,
           const act* x,
           const void* prepared,
           const par* bias,
           const act* residual,
           bool relu,
           act* y,
           void* scratch,
           Stream stream) {
    if (takes_halo(s, Pass::forward))
        return halo_convolution(s, Pass::forward, static_cast<const bf16*>(x),
                                static_cast<const bf16*>(prepared),
                                {static_cast<const float*>(bias),
                                 static_cast<const bf16*>(residual),
                                 relu,
                                 static_cast<bf16*>(y),
                                 {}},
                                stream);
    if (!takes_wgmma(s, Pass::forward))
        return conv_bf16.infer(s, x, prepared, bias, residual, relu, y, scratch, stream);
    wgmma_forward(s, x, prepared,
                  {static_cast<const float*>(bias),
                   static_cast<const bf16*>(residual),
                   relu,
                   static_cast<bf16*>(y),
                   {}},
                  stream);
}

void backward_data(const ConvShape& s,
                   const act* dy,
                   const par* w,
                   act* dx,
                   Write write,
                   void* scratch,
                   Stream stream) {
    if (takes_halo(s, Pass::data)) {
        conv_bf16.prepare(s, false, false, w, scratch, stream);
        auto* to = static_cast<bf16*>(dx);
        return halo_convolution(
            s, Pass::data, static_cast<const bf16*>(dy), static_cast<const bf16*>(scratch),
            {nullptr, write == Write::add ? to : nullptr, false, to, {}}, stream);
    }
    const bool strided = takes_strided(s);
    if (!strided && !takes_wgmma(s, Pass::data))
        return conv_bf16.backward_data(s, dy, w, dx, write, scratch, stream);
    const void* filter = rounded(s, w, scratch, stream);
    const ConvSizes g = ConvSizes::of(s);
    auto* to = static_cast<bf16*>(dx);
    if (strided)
        return strided_data(g, static_cast<const bf16*>(dy), static_cast<const bf16*>(filter), to,
                            write, stream);
    start_pixels<FilterColumns>(tile_of(s, Pass::data), turned_round(g),
                                static_cast<const bf16*>(dy), g, static_cast<const bf16*>(filter),
                                {nullptr, write == Write::add ? to : nullptr, false, to, {}},
                                stream);
}

void backward_filter(const ConvShape& s,
                     const act* x,
                     const act* dy,
                     par* dw,
                     par* dbias,
                     Write write,
                     void* scratch,
                     Stream stream) {
    if (takes_halo(s, Pass::filter))
        return halo_filter_gradient(s, static_cast<const bf16*>(x), static_cast<const bf16*>(dy),
                                    static_cast<float*>(dw), static_cast<float*>(dbias), write,
                                    scratch, stream);
    const FilterKernel kernel = filter_kernel(s);
    if (!takes_filter(s, kernel))
        return conv_bf16.backward_filter(s, x, dy, dw, dbias, write, scratch, stream);
    const ConvSizes g = ConvSizes::of(s);
    const Split split = split_of(s, kernel);
    const bool one = split.parts() == 1 && !(in_one_block(kernel) && write == Write::add);
    auto *sum = static_cast<float*>(dw), *parts = static_cast<float*>(scratch);
    const auto in_tiles = [&](auto tile) {
        using T = FilterTile<tile.kM, tile.kN>;
        const Grid grid{.blocks = ceil_div(g.r * g.s * ceil_div(g.c, kChunk), T::kBlocks),
                        .blocks_y = ceil_div(g.k, T::kFilters),
                        .blocks_z = split.parts(),
                        .threads = kRingThreads,
                        .shared_bytes = sizeof(typename T::Stages)};
        const TensorMap gradient = encode({.base = dy,
                                           .rank = 3,
                                           .size = {g.y_c, 1, g.pixels_out()},
                                           .stride = {1, g.y_c, g.y_c},
                                           .box = {kChunk, 1, T::kStepPixels}});
        launch(kernel == FilterKernel::old ? wgmma_filter_kernel<T, false>
                                           : wgmma_filter_kernel<T, true>,
               grid, stream, pixel_map(g, static_cast<const bf16*>(x), T::kStepPixels), gradient, g,
               one ? sum : parts, one ? write : Write::replace, split);
    };
    if (in_one_block(kernel))
        filter_in_one_block(kernel, g, static_cast<const bf16*>(x), static_cast<const bf16*>(dy),
                            one ? sum : parts, split, stream);
    else
        with_across_tile(tile_of(s, Pass::filter), in_tiles);
    if (!one) add_parts(parts, split.parts(), s.w.stored(), sum, write, stream);
    if (dbias)
        column_sums(s.y(), static_cast<const bf16*>(dy), static_cast<float*>(dbias), write, scratch,
                    stream);
}

}  // namespace

extern const Conv conv_bf16_sm90a{
    .scratch_bytes = scratch_bytes,
    .forward = forward,
    .backward_data = backward_data,
    .backward_filter = backward_filter,
    .prepared_bytes = [](const ConvShape& s,
                         bool residual,
                         bool relu) { return conv_bf16.prepared_bytes(s, residual, relu); },
    .prepare = [](const ConvShape& s,
                  bool residual,
                  bool relu,
                  const par* w,
                  void* prepared,
                  Stream stream) { conv_bf16.prepare(s, residual, relu, w, prepared, stream); },
    .infer = infer,
    .moments_rows = moments_rows,
    .forward_moments = forward_moments,
    .keep_rounded = keep_rounded};

}  // namespace fp::FP_MACHINE
