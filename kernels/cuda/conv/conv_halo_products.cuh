// How conv_halo.cuh multiplies a patch by a block's filters: two policies with one interface.
//
//   HaloMma     mma.sync, each warp for its own pixels of the tile. Each row of a fragment has its own address, so a
//               tap is an offset to it, and 16 pixels may continue over the end of a row.
//   HaloWgmma   Hopper's warpgroup products, which read the patch from shared memory. For the stem only, whose pixels
//               are one chunk of 16 bytes: 64 consecutive pixels of the patch are the rows of a product, eight to a
//               core matrix of 128 bytes. A tap is an offset to the start address of a product. A product sums over two
//               terms, whose distance is in its descriptor. Products start at the beginning of an output row; what they
//               compute past the end of the row is dropped.
//
// Members   Sums; run(): the pixels of a warp's i-th 16 rows; pair(): two neighbouring accumulators of such a row;
//           put_terms(): fills the block's table of term offsets; patch_is_written(): to call after a thread's copies
//           have landed, before the barrier; multiply().
// Filters   8 x 8 matrices, term by term: 8 outputs by the 8 channels of a chunk, or (turned) the 8 channels of the sum
//           by 8 outputs, which ldmatrix transposes
#pragma once

#include "kernels/cuda/conv/conv_halo_patch.cuh"
#include "kernels/cuda/products/wgmma_ring.cuh"

namespace fp::FP_MACHINE {

constexpr int kHaloMatrix = 8 * 16;  // bytes

// 16 rows of a product: the pixel of the tile in the first row, and for how many rows consecutive pixels follow.
// `count` may be negative or above 16.
struct HaloRun {
    int first, count;
};

// kHaloTiles[kIndex] as compile-time constants.
template <int kIndex>
struct HaloTileOf {
    static constexpr int kWarpsM = kHaloTiles[kIndex].warps_m, kWarpsN = kHaloTiles[kIndex].warps_n;
    static constexpr int kRuns = kHaloTiles[kIndex].runs, kPieces = kHaloTiles[kIndex].pieces;
    static constexpr int kWarps = kWarpsM * kWarpsN, kThreads = kWarps * kWarp;
    static constexpr int kN = kHaloTiles[kIndex].n(), kMatrices = kN / 8;
    static constexpr int resident(bool moments) {
        return moments ? kHaloTiles[kIndex].resident_with_moments : kHaloTiles[kIndex].resident;
    }
};

template <int kIndex>
struct HaloMma : HaloTileOf<kIndex> {
    using Tile = HaloTileOf<kIndex>;
    using Tile::kMatrices, Tile::kPieces, Tile::kRuns, Tile::kThreads, Tile::kWarpsN;
    using Sums = float[kRuns][kPieces][4];
    // Two steps per iteration where there are registers to load the operands of one during the products of the other.
    static constexpr bool kTwoSteps = kRuns * (kPieces * 4 + 4) < 110;

    int first[kRuns];  // the offset in a patch of this lane's row of each run, in bytes

    __device__ explicit HaloMma(const HaloSizes& g) {
        UNROLL
        for (int i = 0; i < kRuns; ++i) {
            const int pixel = run(g, i, 0).first + lane_index() % 16;
            first[i] = pixel < g.tile_pixels() ? halo_pixel(g, pixel) * 16 : 0;  // not a pixel: any address
        }
    }

    __device__ static HaloRun run(const HaloSizes&, int i, int pixels) {
        const int first_row = (warp_index() / kWarpsN * kRuns + i) * 16;
        return {first_row, pixels - first_row};
    }
    __device__ static float2 pair(const Sums& sums, int i, int piece, int half) {
        return {sums[i][piece][half * 2], sums[i][piece][half * 2 + 1]};
    }

    // Where the number of terms is odd, the second term of the last product meets filters that are zeros.
    __device__ static void put_terms(const HaloSizes& g, int* terms) {
        for (int i = thread_index(); i < g.steps * 2; i += kThreads)
            terms[i] = i < g.terms() ? halo_offset(g, i) * 16 : 0;
    }
    __device__ static void patch_is_written() {}

    template <HaloFilters kFilters>
    __device__ void multiply(const HaloSizes& g,
                             const unsigned char* patch,
                             const unsigned char* filters,
                             const int* terms,
                             Sums& sums) const {
        const int l = lane_index(), first_matrix = warp_index() % kWarpsN * kPieces;
        constexpr int kPairs = (kPieces + 1) / 2;
        // ldmatrix loads four matrices: both terms of eight outputs, then of the next eight; an odd last piece twice.
        const unsigned char* own = filters + (l / 8 % 2 * kMatrices + first_matrix) * kHaloMatrix + l % 8 * 16;
        UNROLL
        for (auto& of_run : sums)
            for (auto& of_piece : of_run)
                for (float& sum : of_piece) sum = 0;
        const auto step = [&](int j) {
            uint32_t rows[kRuns][4], columns[kPairs][4];
            const unsigned char* from = patch + terms[2 * j + l / 16];
            const unsigned char* own_step = own + j * (2 * kMatrices * kHaloMatrix);
            UNROLL
            for (int i = 0; i < kPairs; ++i) {
                const int next = 2 * i + 1 < kPieces ? l / 16 : 0;
                const void* matrix = own_step + (2 * i + next) * kHaloMatrix;
                if constexpr (kFilters == HaloFilters::turned)
                    ldmatrix_x4_trans(columns[i], matrix);
                else
                    ldmatrix_x4(columns[i], matrix);
            }
            UNROLL
            for (int i = 0; i < kRuns; ++i) ldmatrix_x4(rows[i], from + first[i]);
            UNROLL
            for (int i = 0; i < kRuns; ++i) {
                UNROLL
                for (int k = 0; k < kPieces; ++k) {
                    const uint32_t column[2] = {columns[k / 2][k % 2 * 2], columns[k / 2][k % 2 * 2 + 1]};
                    mma_bf16(sums[i][k], rows[i], column);
                }
            }
        };
        int j = 0;
        if constexpr (kTwoSteps)
            for (; j + 1 < g.steps; j += 2) {
                step(j);
                step(j + 1);
            }
        for (; j < g.steps; ++j) step(j);
    }
};

template <int kIndex>
struct HaloWgmma : HaloTileOf<kIndex> {
    using Tile = HaloTileOf<kIndex>;
    using Tile::kMatrices, Tile::kN, Tile::kPieces, Tile::kRuns, Tile::kThreads;
    static constexpr int kGroups = Tile::kWarpsM / kGroupWarps;
    static_assert(kGroups == 2 && Tile::kWarpsN == 1);
    using Sums = float[kRuns][kN / 2];

    // Product i of a warpgroup: its row in the tile, and its first pixel there. A row of more than 64 pixels is two
    // products, one per warpgroup; shorter rows alternate between the two.
    struct Place {
        int p, q;
    };
    __device__ static Place place(const HaloSizes& g, int group, int i) {
        if (g.q > kProductRows) return {i, group * kProductRows};
        return {i * kGroups + group, 0};
    }

    __device__ explicit HaloWgmma(const HaloSizes&) {}

    // Here every tile is complete. If the warp's first row is a pixel in any of its runs, then also in run 0.
    __device__ static HaloRun run(const HaloSizes& g, int i, int) {
        const Place at = place(g, warp_index() / kGroupWarps, i);
        const int q = at.q + warp_index() % kGroupWarps * kWarpRows;
        return {at.p * g.q + q, at.p < g.rows ? g.q - q : 0};
    }
    __device__ static float2 pair(const Sums& sums, int i, int piece, int half) {
        return {sums[i][piece * 4 + half * 2], sums[i][piece * 4 + half * 2 + 1]};
    }

    // Per step, as a descriptor has them: the offset of the first term, and the distance to the second. An odd last
    // term is its own second term, which meets filters that are zeros.
    __device__ static void put_terms(const HaloSizes& g, int* terms) {
        for (int i = thread_index(); i < g.steps; i += kThreads) {
            const int one = halo_offset(g, 2 * i);
            const int two = 2 * i + 1 < g.terms() ? halo_offset(g, 2 * i + 1) : one;
            terms[i] = one | (two - one) << 16;
        }
    }
    // The copies write through the generic proxy; wgmma reads through the asynchronous proxy.
    __device__ static void patch_is_written() { async_fence(); }

    template <HaloFilters kFilters>
    __device__ void multiply(const HaloSizes& g,
                             const unsigned char* patch,
                             const unsigned char* filters,
                             const int* terms,
                             Sums& sums) const {
        static_assert(kFilters == HaloFilters::pairs);
        const int group = warpgroup_index();
        const uint64_t from = matrix_descriptor(patch, 0, kHaloMatrix);
        uint64_t first[kRuns];  // the descriptor of each of the warpgroup's products at offset 0
        UNROLL
        for (int i = 0; i < kRuns; ++i) {
            const Place at = place(g, group, i);
            const int chunk = at.p * g.stride_h * g.row_pitch + at.q;
            first[i] = from + uint64_t(at.p < g.rows ? chunk : 0);  // not a row: any address
        }
        uint64_t filter = matrix_descriptor(filters, kMatrices * kHaloMatrix, kHaloMatrix);
        for (int j = 0; j < g.steps; ++j) {
            wgmma_fence();
            const uint64_t term = uint64_t(uint32_t(terms[j]));
            UNROLL
            for (int i = 0; i < kRuns; ++i) wgmma_bf16<kN>(sums[i], first[i] + term, filter, j > 0);
            filter += 2 * kMatrices * kHaloMatrix / 16;
            wgmma_commit();
            wgmma_wait<1>();  // the products of this step continue
        }
        wgmma_wait<0>(sums);
    }
};

}  // namespace fp::FP_MACHINE
