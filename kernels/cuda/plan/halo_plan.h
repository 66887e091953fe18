// How the kernels of conv_halo.cuh and conv_halo_filter.cuh cut a convolution up: the sizes they read, and the tiles there
// are (conv_choice.h chooses among them). Everything follows from the shape, never from the device.
#pragma once

#include <cstddef>
#include <iterator>

#include "kernels/cuda/plan/conv_choice.h"

namespace fp {

// What a block's filters are made of: filters as they are; turned round, for the input's gradient; or those of the
// stem, where two neighbouring pixels of 4 stored channels are one of 8.
enum class HaloFilters { forward, turned, pairs };

enum class HaloProducts { mma, wgmma };  // mma.sync of a warp, or Hopper's of a warpgroup

struct HaloSizes {
    int n, h, w, chunks;  // input; a pixel has `chunks` of 8 channels
    int p, q, y_c;        // output
    int r, s, stride_h, stride_w, pad_h, pad_w;
    // Filters as stored: k of them, taps_c elements each, rows of filter_s taps of filter_c channels. `shift`, of
    // pairs: how many columns they are moved to the right, so that a pair begins at an even one.
    int k, taps_c, filter_c, filter_s, shift;
    int steps;  // products, of two terms each

    // A tile: whole images, or one of `strips` strips of an image; `rows` rows of each.
    int images, rows, strips, tiles;
    uint64_t strip_reciprocal;  // 2^32 / strips, rounded up
    int patch_rows, patch_columns;
    int column_half;  // at stride 2: where a patch row's odd columns begin
    // From a column, a row, an image of a patch to the next, in chunks.
    int pitch, row_pitch, image_pitch;
    int buffers;  // patches: 2, or 1 where memory then has room for another block

    // Shared memory, in bytes.
    int filters_at, patches_at, results_at, patch_bytes, result_bytes;
    bool keeps_residual;  // a warp has room for its whole tile of the residual, not for 16 rows

    constexpr int row_chunks() const { return patch_columns * chunks; }
    constexpr int terms() const { return r * s * chunks; }
    constexpr int tile_pixels() const { return images * rows * q; }
    constexpr int pixels_out() const { return n * p * q; }
    // Of a tile: how many pixels it has, which lie in one piece from tile_pixels() times its number on, and its images,
    // as the group_of-th so many. Right for tiles * strips < 2^32.
    constexpr int pixels_of(int tile) const { return std::min(tile_pixels(), pixels_out() - tile * tile_pixels()); }
    constexpr int group_of(int tile) const { return int(uint64_t(tile) * strip_reciprocal >> 32); }
};

// A block's outputs: warps down and across, each with runs of 16 pixels by pieces of 8 channels. Of warpgroup products
// a run is a warp's part of one, so eight warps are two groups.
struct HaloTile {
    HaloProducts products;
    int warps_m, warps_n, runs, pieces;
    int resident, resident_with_moments;  // blocks on a multiprocessor that registers allow
    bool measured = false;                // on an H200, forward
    constexpr int m() const { return warps_m * runs * 16; }
    constexpr int n() const { return warps_n * pieces * 8; }
    constexpr int warps() const { return warps_m * warps_n; }
    constexpr ConvChoice choice() const {
        return {products == HaloProducts::wgmma ? ConvKernel::halo_wgmma : ConvKernel::halo, {m(), n()}};
    }
};
// Behind each a layer that takes it, at batch 256: channels in and out, the map, /2 for stride 2, and of 3 channels the
// stem. 448 pixels are 8 rows of 56, 16 of 28 and 4 of 112; 256 are a map of 16 or 4 rows of 56.
inline constexpr HaloTile kHaloTiles[] = {
    {HaloProducts::mma, 4, 1, 7, 2, 3, 3, true},    // 21 > 16 at 56
    {HaloProducts::mma, 4, 1, 7, 3, 3, 3, true},    // 16 > 21 and 27 > 21 at 56
    {HaloProducts::mma, 4, 1, 7, 4, 2, 2},          // 32 > 32 at 112, with a residual
    {HaloProducts::mma, 4, 1, 4, 2, 4, 4},          // 16 > 16 at 64
    {HaloProducts::mma, 4, 1, 4, 3, 3, 3},          // 16 > 16 at 16
    {HaloProducts::mma, 4, 1, 4, 4, 3, 3, true},    // 21 > 27 at 56, 16 > 32 at 112
    {HaloProducts::mma, 4, 1, 4, 5, 3, 2, true},    // 65 > 35 at 28
    {HaloProducts::mma, 2, 2, 7, 4, 2, 2, true},    // 64 > 128 at 16 / 2
    {HaloProducts::mma, 2, 2, 7, 5, 2, 2, true},    // 21 > 65 at 56 / 2, 33 > 66 at 112
    {HaloProducts::mma, 4, 2, 7, 4, 1, 1, true},    // 32 > 64 at 112
    {HaloProducts::mma, 4, 2, 4, 4, 2, 2, true},    // 64 > 128 at 56 / 2, 3 > 64 of 64 x 64 pixels
    {HaloProducts::wgmma, 8, 1, 4, 4, 2, 2},        // 3 > 32
    {HaloProducts::wgmma, 8, 1, 2, 8, 2, 2, true},  // 3 > 64
};
inline constexpr int kHaloTileCount = int(std::size(kHaloTiles));
inline constexpr int kHaloStemOutputs = 24;  // that a tile of the stem has at least

struct HaloPlan {
    int tile = -1;  // of kHaloTiles
    HaloFilters filters = HaloFilters::forward;
    HaloSizes sizes{};
    int slices = 0, resident = 0, blocks = 0;  // blocks of each slice of outputs
    size_t shared_bytes = 0;
    bool exists() const { return tile >= 0; }
};
// In the choice's tile; it does not exist where that does not fit.
HaloPlan halo_plan(const ConvShape&, Pass, ConvChoice, ConvExtras);

// The gradient of filters: blocks of `runs` times 16 filters by 28 terms, each of which leaves a part.
inline constexpr int kHaloFilterRuns = 4, kHaloFilterTerms = 28;
inline constexpr TileSize kHaloFilterTile{448, 16 * kHaloFilterRuns};  // pixels at most, filters
struct HaloFilterSizes {
    HaloSizes x;
    int pixels;        // of a tile, rounded up to 16
    int gradients_at;  // in shared memory, bytes
};
struct HaloFilterPlan {
    int runs = 0, slices_k = 0, slices_terms = 0, parts = 0;
    bool pairs = false;
    HaloFilterSizes sizes{};
    size_t shared_bytes = 0;
    bool exists() const { return runs > 0; }
};
HaloFilterPlan halo_filter_plan(const ConvShape&);
size_t halo_filter_scratch_bytes(const ConvShape&);

}  // namespace fp
