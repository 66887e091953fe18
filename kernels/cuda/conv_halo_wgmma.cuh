// The forward convolution of few channels at stride 1, and the stem, on Hopper's warpgroup products, from the same
// patches as conv_halo.cuh has, which the products read by themselves.
//
// As GEMM   as there. Of a patch each chunk of 8 channels is a plane of 16 bytes a pixel, in which a row follows the other
//           without a gap. So 64 places one after the other, eight to a matrix of 128 bytes in one piece, are rows of a
//           product; a tap moves its start; the second half of a product's 16 is the next term, so many bytes on. Where a
//           place is behind the end of a row, its sums are nobody's.
// Filters   matrices of eight outputs by a term, as in conv_halo.cuh; the sum runs over the taps of a chunk, then the next
// Threads   two warpgroups, which take turns at products of 64 places; those of one step go on while the next are started
// Epilogue  as in conv_halo.cuh, a product's 16 rows of a warp at a time. No moments.
// Bound     memory up to 24 channels, then shared memory (16 clocks for the 64 x 16 of A), from 64 outputs on the products
// Needs     sm_90a. Copies write through the generic view: async_fence() before the products read
#pragma once

#include "kernels/cuda/conv_halo.cuh"
#include "kernels/cuda/wgmma_ring.cuh"

namespace fp::FP_MACHINE {

template <int kProducts_, int kN_, int kResident_>
struct HaloProducts {
    static constexpr int kGroups = 2, kProducts = kProducts_, kN = kN_, kMatrices = kN / 8;
    static constexpr int kWarps = kGroups * kGroupWarps, kThreads = kWarps * kWarp;
    static constexpr int kResident = kResident_;
    static constexpr int kPlaces = kGroups * kProducts * kProductRows;
    static constexpr int kResultPitch = kMatrices | 1;  // chunks
    static constexpr int kResultBytes = kWarpRows * kResultPitch * 16;
    using Sums = float[kProducts][kN / 2];

    static constexpr int tables_bytes(const HaloSizes& g) {
        return int(round_up((g.steps + g.row_chunks() + kPlaces) * int(sizeof(int)), 128));
    }
    static constexpr int filters_bytes(const HaloSizes& g) { return g.steps * 2 * kN * 16; }
    // A product reads 64 places even where only the first is somebody's.
    static constexpr int kSlack = kProductRows * 16;
    static constexpr size_t shared_bytes(const HaloSizes& g) {
        return size_t(tables_bytes(g)) + filters_bytes(g) +
               g.buffers * size_t(round_up(g.patch_bytes(), 128)) + kWarps * kResultBytes + kSlack;
    }
};

// Where a product's places begin in a plane, chunks.
__device__ inline int halo_product_place(const HaloSizes& g, int product) {
    if (g.stride_h == 1) return product * kProductRows;
    const int across = (g.q + kProductRows - 1) / kProductRows;  // products of a row
    return product / across * g.stride_h * g.row_pitch + product % across * kProductRows;
}

template <class T, HaloFilters kFilters>
__global__ void __launch_bounds__(T::kThreads, T::kResident)
    halo_wgmma_kernel(const __grid_constant__ HaloSizes g,
                      const bf16* __restrict__ x,
                      const bf16* __restrict__ w,
                      const __grid_constant__ Epilogue to) {
    DYN_SHARED(unsigned char, shared);
    int *const terms = reinterpret_cast<int*>(shared), *const places = terms + g.steps;
    int* const pixel_of = places + g.row_chunks();  // a place's pixel of the tile, or -1
    unsigned char* const filters = shared + T::tables_bytes(g);
    unsigned char* const patches = filters + T::filters_bytes(g);
    const int patch_bytes = (g.patch_bytes() + 127) / 128 * 128;
    unsigned char* const results = patches + g.buffers * patch_bytes;
    const int first_output = int(blockIdx.y) * T::kN;
    const int group = warpgroup_index();

    // A step's two terms: where the first lies, and how far on the second does, as a descriptor has them. A last term
    // alone is multiplied twice, once with zeros.
    for (int i = thread_index(); i < g.steps; i += T::kThreads) {
        const int one = halo_offset(g, halo_term_by_chunk(g, 2 * i)) / 16;
        const int two = 2 * i + 1 < g.terms()
                            ? halo_offset(g, halo_term_by_chunk(g, 2 * i + 1)) / 16
                            : one;
        terms[i] = one | (two - one) << 16;
    }
    for (int i = thread_index(); i < T::kPlaces; i += T::kThreads) {
        const int place = halo_product_place(g, i / kProductRows) + i % kProductRows;
        const int row = g.stride_h * g.row_pitch, image = place / g.image_pitch;
        const int p = place % g.image_pitch / row, q = place % g.image_pitch % row;
        const bool exists = image < g.images && p < g.rows && q < g.q;
        pixel_of[i] = exists ? (image * g.rows + p) * g.q + q : -1;
    }
    halo_places<T>(g, places);
    halo_filters<T, kFilters, true>(g, w, first_output, filters);
    block_sync();
    int tile = int(blockIdx.x);
    halo_patch<T>(g, x, tile, places, patches);
    cp_async_commit();

    const int last_place = (g.images - 1) * g.image_pitch +
                           (g.rows - 1) * g.stride_h * g.row_pitch + g.q - 1;
    const int l = lane_index(), warp = warp_index() % kGroupWarps;
    unsigned char* const result = results + warp_index() * T::kResultBytes;
    auto* const words = reinterpret_cast<uint32_t*>(result);
    for (int round = 0; tile < g.tiles; ++round) {
        const int first_pixel = tile * g.tile_pixels();
        const int pixels = min(g.tile_pixels(), g.pixels_out() - first_pixel);
        cp_async_wait<0>();
        async_fence();
        block_sync();  // this patch is here for all products, and the one before is read by all
        const int next = tile + int(gridDim.x), other = (round + 1) % 2 * patch_bytes;
        const bool two = g.buffers == 2;
        if (two && next < g.tiles) halo_patch<T>(g, x, next, places, patches + other);
        cp_async_commit();

        // body(place in `result`, offset in y) for this lane's 16 bytes of product m that exist.
        const auto for_pieces = [&](int m, auto body) {
            constexpr int kPieces = T::kMatrices;
            const int first = (m * T::kGroups + group) * kProductRows + warp * kWarpRows;
            for (int e = l; e < kWarpRows * kPieces; e += kWarp) {
                const int row = e / kPieces, piece = e % kPieces;
                const int pixel = pixel_of[first + row], k = first_output + piece * 8;
                if (unsigned(pixel) < unsigned(pixels) && k < g.y_c)
                    body(result + (row * T::kResultPitch + piece) * 16,
                         int64_t(first_pixel + pixel) * g.y_c + k);
            }
        };
        const auto bring_residual = [&](int m) {
            if (to.residual)
                for_pieces(m, [&](unsigned char* place, int64_t offset) {
                    cp_async16(place, to.residual + offset);
                });
            cp_async_commit();
        };

        const uint64_t patch =
            matrix_descriptor(two ? patches + round % 2 * patch_bytes : patches, 0, kHaloMatrix);
        uint64_t start[T::kProducts];
        UNROLL
        for (int m = 0; m < T::kProducts; ++m) {
            const int place = halo_product_place(g, m * T::kGroups + group);
            start[m] = patch + uint64_t(place <= last_place ? place : 0);  // nobody's: any will do
        }
        uint64_t filter = matrix_descriptor(filters, T::kMatrices * kHaloMatrix, kHaloMatrix);
        typename T::Sums sums;
        warp_sync();  // lanes that copied less are here too
        for (int j = 0; j < g.steps; ++j) {
            wgmma_fence();
            const uint64_t term = uint64_t(uint32_t(terms[j]));
            UNROLL
            for (int m = 0; m < T::kProducts; ++m)
                wgmma_bf16<T::kN>(sums[m], start[m] + term, filter, j > 0);
            filter += 2 * T::kMatrices * kHaloMatrix / 16;
            wgmma_commit();
            wgmma_wait<1>();  // this step's go on
        }
        wgmma_wait<0>();

        if (!two) {
            block_sync();  // this patch is read by all
            if (next < g.tiles) halo_patch<T>(g, x, next, places, patches);
            cp_async_commit();
        }
        UNROLL
        for (int m = 0; m < T::kProducts; ++m) {
            if (to.residual) {
                bring_residual(m);
                cp_async_wait<0>();
                warp_sync();
            }
            UNROLL
            for (int j = 0; j < T::kMatrices; ++j) {
                const int column = first_output + j * 8 + l % 4 * 2;
                float2 bias{0, 0};
                if (to.bias && column < g.y_c)
                    bias = ldg(reinterpret_cast<const float2*>(to.bias + column));
                UNROLL
                for (int half = 0; half < 2; ++half) {
                    uint32_t* word =
                        words + (l / 4 + half * 8) * (T::kResultPitch * 4) + j * 4 + l % 4;
                    float2 v{sums[m][j * 4 + half * 2] + bias.x,
                             sums[m][j * 4 + half * 2 + 1] + bias.y};
                    if (to.residual) {
                        const float2 add = halves(*word);
                        v.x += add.x;
                        v.y += add.y;
                    }
                    if (to.relu) v = {v.x <= 0 ? 0 : v.x, v.y <= 0 ? 0 : v.y};
                    *word = pack_bf16(v.x, v.y);
                }
            }
            warp_sync();
            for_pieces(m, [&](const unsigned char* place, int64_t offset) {
                stg(reinterpret_cast<uint4*>(to.y + offset), *reinterpret_cast<const uint4*>(place));
            });
            warp_sync();  // these rows have left
        }
        tile = next;
    }
}

}  // namespace fp::FP_MACHINE
