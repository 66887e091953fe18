// The gradient of filters over few channels in bf16, and of the stem's, through mma.sync, from the same patches as
// conv_halo.cuh has.
//
//   dw[k,r,s,c] (+)= sum_npq dy[n,p,q,k] x[n,p stride+r-pad,q stride+s-pad,c]
//
// Shapes    x (N,H,W,C), dy (N,P,Q,K) bf16   dw (K,R,S,C) float32, by way of parts [part][K][RSC] that are added in order
// As GEMM   M = K filters, N = the sum's terms of conv_halo.cuh (taps x chunks of 8 channels), the sum over pixels. Both
//           operands have a pixel a row, and ldmatrix transposes them: a term is another offset into the patch.
// Tile      as conv_halo.cuh's, of so many pixels as fit twice, and dy's same pixels, which lie in one piece
// Threads   two groups of warps take turns at 16 pixels; a group's warps share the terms. At the end the second's sums
//           are added to the first's. Blocks stay and walk over the tiles; each leaves one part.
// Traffic   HBM sees x and dy once, L2 (rows + halo)/rows of x, both once more for every further slice of terms
// Bound     mma.sync; the stem's: 28 of 32 columns are the filter's
#pragma once

#include "kernels/cuda/conv_halo.cuh"

namespace fp::FP_MACHINE {

template <int kWarpsN_, int kTerms_, int kFragmentsM_>
struct HaloFilterTile {
    static constexpr int kGroups = 2, kWarpsN = kWarpsN_, kTerms = kTerms_;
    static constexpr int kFragmentsM = kFragmentsM_, kWarps = kGroups * kWarpsN;
    static constexpr int kThreads = kWarps * kWarp;
    static constexpr int kFilters = kFragmentsM * 16, kBlockTerms = kWarpsN * kTerms;
    static constexpr int kChunks = 2 * kFragmentsM, kPitch = kChunks | 1;  // of a pixel of dy
    using Sums = float[kFragmentsM][kTerms][4];

    static constexpr int pixels(const HaloSizes& g) { return int(round_up(g.tile_pixels(), 16)); }
    static constexpr int tables_bytes(const HaloSizes& g) {
        return int(round_up((pixels(g) + g.row_chunks()) * int(sizeof(int)), 16));
    }
    static constexpr int gradient_bytes(const HaloSizes& g) { return pixels(g) * kPitch * 16; }
    static constexpr size_t shared_bytes(const HaloSizes& g) {
        const size_t tiles = 2 * (size_t(g.patch_bytes()) + gradient_bytes(g));
        return tables_bytes(g) + std::max(tiles, size_t(kWarpsN) * kWarp * sizeof(Sums));
    }
};

// dy's pixels of a tile, zeros behind the last, so that what lies there of a patch counts for nothing.
template <class T>
__device__ void halo_gradient(const HaloSizes& g,
                              const bf16* __restrict__ dy,
                              int first_pixel,
                              int pixels,
                              int first_filter,
                              unsigned char* to) {
    for (int i = thread_index(); i < T::pixels(g) * T::kChunks; i += T::kThreads) {
        const int pixel = i / T::kChunks, chunk = i % T::kChunks;
        const int k = first_filter + chunk * kHaloChunk;
        const bool valid = pixel < pixels && k < g.y_c;
        cp_async16(to + (pixel * T::kPitch + chunk) * 16,
                   dy + (valid ? int64_t(first_pixel + pixel) * g.y_c + k : 0), valid);
    }
}

template <class T, bool kPairs>
__global__ void __launch_bounds__(T::kThreads, 1)
    halo_filter_kernel(const __grid_constant__ HaloSizes g,
                       const bf16* __restrict__ x,
                       const bf16* __restrict__ dy,
                       float* out,
                       Write write) {
    DYN_SHARED(unsigned char, shared);
    int *const bases = reinterpret_cast<int*>(shared), *const places = bases + T::pixels(g);
    unsigned char* const patches = shared + T::tables_bytes(g);
    unsigned char* const gradients = patches + 2 * g.patch_bytes();
    const int l = lane_index(), group = warp_index() / T::kWarpsN;
    const int first_filter = int(blockIdx.y) * T::kFilters;
    const int first_term =
        int(blockIdx.z) * T::kBlockTerms + warp_index() % T::kWarpsN * T::kTerms;

    for (int i = thread_index(); i < T::pixels(g); i += T::kThreads) {
        const int q = i % g.q, p = i / g.q % g.rows, image = i / g.q / g.rows;
        bases[i] =
            (image * g.image_pitch + p * g.stride_h * g.row_pitch + q * g.pitch) * 16;
    }
    halo_places<T>(g, places);
    constexpr int kPairsOfTerms = (T::kTerms + 1) / 2;
    int offsets[kPairsOfTerms];  // of this lane's term of each
    UNROLL
    for (int i = 0; i < kPairsOfTerms; ++i) {
        const int own = 2 * i + l / 16, term = first_term + own;
        offsets[i] = own < T::kTerms && term < g.terms() ? halo_offset(g, term) : 0;
    }
    block_sync();

    const auto bring = [&](int tile, int buffer) {
        const int first_pixel = tile * g.tile_pixels();
        halo_patch<T>(g, x, tile, places, patches + buffer * g.patch_bytes());
        halo_gradient<T>(g, dy, first_pixel, min(g.tile_pixels(), g.pixels_out() - first_pixel),
                         first_filter, gradients + buffer * T::gradient_bytes(g));
    };
    typename T::Sums sums = {};
    int tile = int(blockIdx.x);
    bring(tile, 0);
    cp_async_commit();
    for (int round = 0; tile < g.tiles; ++round) {
        cp_async_wait<0>();
        block_sync();  // this tile is here for all, and the one before is read by all
        const int next = tile + int(gridDim.x);
        if (next < g.tiles) bring(next, (round + 1) % 2);
        cp_async_commit();
        warp_sync();  // lanes that copied less are here too

        const unsigned char* patch = patches + round % 2 * g.patch_bytes();
        const unsigned char* gradient = gradients + round % 2 * T::gradient_bytes(g) +
                                        ((l % 8 + l / 16 * 8) * T::kPitch + l / 8 % 2) * 16;
        const int pixels = min(g.tile_pixels(), g.pixels_out() - tile * g.tile_pixels());
        for (int first = group * 16; first < pixels; first += T::kGroups * 16) {
            const int pixel = first + l % 16;
            const unsigned char* from = patch + (pixel < pixels ? bases[pixel] : 0);
            uint32_t rows[T::kFragmentsM][4], columns[kPairsOfTerms][4];
            UNROLL
            for (int i = 0; i < kPairsOfTerms; ++i) ldmatrix_x4_trans(columns[i], from + offsets[i]);
            UNROLL
            for (int i = 0; i < T::kFragmentsM; ++i)
                ldmatrix_x4_trans(rows[i], gradient + (first * T::kPitch + 2 * i) * 16);
            UNROLL
            for (int i = 0; i < T::kFragmentsM; ++i) {
                UNROLL
                for (int t = 0; t < T::kTerms; ++t) {
                    const uint32_t column[2] = {columns[t / 2][t % 2 * 2],
                                                columns[t / 2][t % 2 * 2 + 1]};
                    mma_bf16(sums[i][t], rows[i], column);
                }
            }
        }
        tile = next;
    }
    cp_async_wait<0>();
    block_sync();  // all is read: the memory of tiles is free

    constexpr int kSums = sizeof(sums) / sizeof(float), kSharing = T::kWarpsN * kWarp;
    auto* other = reinterpret_cast<float*>(patches) + thread_index() % kSharing;
    float* own = &sums[0][0][0];
    if (group == 1) {
        UNROLL
        for (int i = 0; i < kSums; ++i) other[i * kSharing] = own[i];
    }
    block_sync();
    if (group == 1) return;
    UNROLL
    for (int i = 0; i < kSums; ++i) own[i] += other[i * kSharing];

    float* part = out + int64_t(blockIdx.x) * g.k * g.taps_c;
    UNROLL
    for (int t = 0; t < T::kTerms; ++t) {
        const int term = first_term + t, e = l % 4 * 2;
        if (term >= g.terms()) continue;
        int at = term * kHaloChunk + e;
        if constexpr (kPairs) {
            const int s = term % g.s * 2 - g.shift + e / 4;
            if (unsigned(s) >= unsigned(g.filter_s)) continue;
            at = (term / g.s * g.filter_s + s) * 4 + e % 4;
        }
        UNROLL
        for (int i = 0; i < T::kFragmentsM; ++i) {
            UNROLL
            for (int half = 0; half < 2; ++half) {
                const int k = first_filter + i * 16 + half * 8 + l / 4;
                if (k >= g.k) continue;
                auto* to = reinterpret_cast<float2*>(part + int64_t(k) * g.taps_c + at);
                float2 v{sums[i][t][half * 2], sums[i][t][half * 2 + 1]};
                if (write == Write::add) {
                    const float2 before = ldg(to);
                    v.x += before.x;
                    v.y += before.y;
                }
                stg(to, v);
            }
        }
    }
}

}  // namespace fp::FP_MACHINE
