// How the kernels of conv_halo.cuh and conv_halo_filter.cuh cut a convolution up: the sizes they read, the tiles there
// are, and the tile that is expected to take least time. Everything follows from the shape, never from the device.
//
// Model     A tile's clocks on one multiprocessor, times the tiles of each, and the bytes of input and output at the
//           memory's rate on top: blocks hide little of one behind the other. Of ten lines measured on an H200 seven
//           lie within 6 % of it and three within 25 % (tests/kernels/test_conv_halo.cpp has them); rate and clock were
//           chosen after those lines.
#pragma once

#include <cstddef>
#include <iterator>
#include <optional>

#include "kernels/products.h"

namespace fp {

// What a block's filters are made of: filters as they are; turned round, for the input's gradient; or those of the
// stem, where two neighbouring pixels of 4 stored channels are one of 8.
enum class HaloFilters { forward, turned, pairs };

enum class HaloProducts { mma, wgmma };  // mma.sync of a warp, or Hopper's of a warpgroup

// What the epilogue does besides bias and ReLU.
enum class HaloExtra { nothing, residual, moments };

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
    constexpr int pixels_of(int tile) const {
        return std::min(tile_pixels(), pixels_out() - tile * tile_pixels());
    }
    constexpr int group_of(int tile) const { return int(uint64_t(tile) * strip_reciprocal >> 32); }
};

// A block's outputs: warps down and across, each with runs of 16 pixels by pieces of 8 channels. Of warpgroup products
// a run is a warp's part of one, so eight warps are two groups.
struct HaloTile {
    HaloProducts products;
    int warps_m, warps_n, runs, pieces;
    int resident, resident_with_moments;  // blocks on a multiprocessor that registers allow
    constexpr int m() const { return warps_m * runs * 16; }
    constexpr int n() const { return warps_n * pieces * 8; }
    constexpr int warps() const { return warps_m * warps_n; }
};
// Behind each a layer that takes it, at batch 256: channels in and out, the map, /2 for stride 2, and of 3 channels the
// stem. 448 pixels are 8 rows of 56, 16 of 28 and 4 of 112; 256 are a map of 16 or 4 rows of 56.
inline constexpr HaloTile kHaloTiles[] = {
    {HaloProducts::mma, 4, 1, 7, 2, 3, 3},    // 21 > 16 at 56
    {HaloProducts::mma, 4, 1, 7, 3, 3, 3},    // 16 > 21 and 27 > 21 at 56
    {HaloProducts::mma, 4, 1, 7, 4, 2, 2},    // 32 > 32 at 112, with a residual
    {HaloProducts::mma, 4, 1, 4, 2, 4, 4},    // 16 > 16 at 64
    {HaloProducts::mma, 4, 1, 4, 3, 3, 3},    // 16 > 16 at 16
    {HaloProducts::mma, 4, 1, 4, 4, 3, 3},    // 21 > 27 at 56, 16 > 32 at 112
    {HaloProducts::mma, 4, 1, 4, 5, 3, 2},    // 65 > 35 at 28
    {HaloProducts::mma, 4, 1, 4, 6, 3, 3},    // 3 > 48 of 64 x 64 pixels
    {HaloProducts::mma, 2, 2, 7, 3, 2, 2},    // 21 > 42 at 56 / 2, with a residual
    {HaloProducts::mma, 2, 2, 7, 4, 2, 2},    // 64 > 128 at 16 / 2
    {HaloProducts::mma, 2, 2, 7, 5, 2, 2},    // 21 > 65 at 56 / 2, 33 > 66 at 112
    {HaloProducts::mma, 4, 2, 7, 4, 1, 1},    // 32 > 64 at 112
    {HaloProducts::mma, 4, 2, 4, 4, 2, 2},    // 64 > 128 at 56 / 2, 3 > 64 of 64 x 64 pixels
    {HaloProducts::wgmma, 8, 1, 4, 3, 2, 2},  // 3 > 16 and 3 > 21 of 224 x 224 pixels
    {HaloProducts::wgmma, 8, 1, 4, 4, 2, 2},  // 3 > 32
    {HaloProducts::wgmma, 8, 1, 2, 5, 2, 2},  // 3 > 38
    {HaloProducts::wgmma, 8, 1, 2, 6, 2, 2},  // 3 > 48
    {HaloProducts::wgmma, 8, 1, 2, 8, 2, 2},  // 3 > 64
};
inline constexpr int kHaloTileCount = int(std::size(kHaloTiles));
inline constexpr int kHaloStemOutputs = 24;  // that a tile of the stem has at least

struct HaloPlan {
    int tile = -1;  // of kHaloTiles
    HaloFilters filters = HaloFilters::forward;
    HaloSizes sizes{};
    int slices = 0, resident = 0, blocks = 0;  // blocks of each slice of outputs
    size_t shared_bytes = 0;
    double seconds = 0;
    bool exists() const { return tile >= 0; }
};
HaloPlan halo_plan(const ConvShape&, Pass, HaloExtra);

// The gradient of filters: blocks of `runs` times 16 filters by 28 terms, each of which leaves a part.
inline constexpr int kHaloFilterRuns = 4, kHaloFilterTerms = 28;
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

// Whether these kernels should do this pass.
bool takes_halo(const ConvShape&, Pass);
// The pixels of a tile of the forward pass, of which it leaves moments.
int halo_moments_rows(const ConvShape&);

// What tests and tuners set in place of what the plan would choose.
struct HaloChoice {
    enum class Use { where_faster, where_it_fits, never } use = Use::where_faster;
    std::optional<HaloProducts> products;
    std::optional<int> tile;  // of kHaloTiles; no other is tried
    int buffers = 0;          // of patches; 0: as many as cost no block
    int most_blocks = 0;      // of each slice; 0: as many as run at a time
};
HaloChoice& halo_choice();

}  // namespace fp
