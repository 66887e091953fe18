// How the kernels of conv_halo.cuh and conv_halo_filter.cuh divide a convolution: the sizes that they read, and the
// tiles that exist (conv_choice.h chooses among them). Everything follows from the shape, never from the device.
#pragma once

#include <cstddef>
#include <iterator>

#include "kernels/cuda/plan/conv_choice.h"

namespace fp {

// The form of a block's filters: as stored; rotated by 180 degrees, for the gradient of the input; or the stem's, in
// which two neighbouring pixels of 4 stored channels count as one of 8.
enum class HaloFilters { forward, turned, pairs };

enum class HaloProducts { mma, wgmma };  // mma.sync per warp, or Hopper's wgmma per warpgroup

struct HaloSizes {
    int n, h, w, chunks;  // input; a pixel has `chunks` of 8 channels
    int p, q, y_c;        // output
    int r, s, stride_h, stride_w, pad_h, pad_w;
    // Filters as stored: k of them, taps_c elements each, rows of filter_s taps of filter_c channels. `shift` (pairs
    // only): by how many columns they are moved to the right, so that a pair begins at an even column.
    int k, taps_c, filter_c, filter_s, shift;
    int steps;  // products per sum, two terms each

    // A tile: whole images, or one of `strips` strips of an image; `rows` rows of each.
    int images, rows, strips, tiles;
    uint64_t strip_reciprocal;  // 2^32 / strips, rounded up
    int patch_rows, patch_columns;
    int column_half;  // at stride 2: where a patch row's odd columns begin
    // Distance between columns, rows and images of a patch, in chunks.
    int pitch, row_pitch, image_pitch;
    int buffers;  // patches per block: 2, or 1 where that leaves room for another block

    // Shared memory, in bytes.
    int filters_at, patches_at, results_at, patch_bytes, result_bytes;
    bool keeps_residual;  // a warp's rows have room for the residual of all its runs, not of one

    constexpr int row_chunks() const { return patch_columns * chunks; }
    constexpr int terms() const { return r * s * chunks; }
    constexpr int tile_pixels() const { return images * rows * q; }
    constexpr int pixels_out() const { return n * p * q; }
    // The pixels of a tile, which are contiguous from pixel tile * tile_pixels() on; and the number of its group of
    // `images` images, tile / strips, exact for tiles * strips < 2^32.
    constexpr int pixels_of(int tile) const { return std::min(tile_pixels(), pixels_out() - tile * tile_pixels()); }
    constexpr int group_of(int tile) const { return int(uint64_t(tile) * strip_reciprocal >> 32); }
};

// The outputs of a block: warps_m x warps_n warps, each with `runs` runs of 16 pixels by `pieces` pieces of 8 channels.
// With wgmma a run is a warp's part of a warpgroup's product, and eight warps are two warpgroups.
struct HaloTile {
    HaloProducts products;
    int warps_m, warps_n, runs, pieces;
    int resident, resident_with_moments;  // blocks per multiprocessor that registers allow
    bool measured = false;                // on an H200, forward
    constexpr int m() const { return warps_m * runs * 16; }
    constexpr int n() const { return warps_n * pieces * 8; }
    constexpr int warps() const { return warps_m * warps_n; }
    constexpr ConvChoice choice() const {
        return {products == HaloProducts::wgmma ? ConvKernel::halo_wgmma : ConvKernel::halo, {m(), n()}};
    }
};
// Each with a layer that uses it at batch 256: channels in > out at the size of the map, / 2 for stride 2; 3 channels
// are the stem. 448 pixels are 8 rows of 56, 16 of 28 or 4 of 112; 256 are a map of 16x16 or 4 rows of 56.
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
inline constexpr int kHaloStemOutputs = 24;  // a tile of the stem has at least so many

struct HaloPlan {
    int tile = -1;  // of kHaloTiles
    HaloFilters filters = HaloFilters::forward;
    HaloSizes sizes{};
    int slices = 0, resident = 0, blocks = 0;  // slices of outputs; blocks per multiprocessor, per slice
    size_t shared_bytes = 0;
    bool exists() const { return tile >= 0; }
};
// The plan for the choice's tile; exists() is false where the tile does not fit.
HaloPlan halo_plan(const ConvShape&, Pass, ConvChoice, ConvExtras);

// The gradient of the filters: blocks of (16 x runs) filters by 28 terms, each of which writes a partial sum.
inline constexpr int kHaloFilterRuns = 4, kHaloFilterTerms = 28;
inline constexpr TileSize kHaloFilterTile{448, 16 * kHaloFilterRuns};  // pixels at most, filters
struct HaloFilterSizes {
    HaloSizes x;
    int pixels;        // per tile, rounded up to 16
    int gradients_at;  // offset of dy in shared memory, in bytes
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
