// The gradient of the filters of few channels, and of the stem's, in bf16 on mma.sync, from the patches of
// conv_halo_patch.cuh.
//
//   dw[k,r,s,c] (+)= sum_npq dy[n,p,q,k] x[n,p stride+r-pad,q stride+s-pad,c]
//
// Shapes    x (N,H,W,C), dy (N,P,Q,K) bf16   dw (K,R,S,C) float32, through partial sums [part][K][RSC] that are added
//           in order
// GEMM      M = K filters, N = the terms of conv_halo.cuh (tap x chunk of 8 channels), the sum over pixels. In both
//           operands a row is a pixel, and ldmatrix transposes them: a term is an offset into the patch.
// Tile      as in conv_halo.cuh, of at most 448, 224 or 112 pixels: the largest of which two patches fit, with dy of
//           the same pixels, which is contiguous
// Threads   256: two groups of four warps take alternate runs of 16 pixels; the warps of a group share the terms. At
//           the end the accumulators of the second group are added to those of the first. Blocks are persistent; each
//           leaves one partial sum.
// Traffic   HBM: x and dy once. L2: x (rows + R - stride) / rows times for each slice of 28 terms and each slice of 64
//           filters; dy once for each slice of terms, since a slice of filters reads its own channels of it. Partial
//           sums are written once and read once.
// Bound     mma.sync; in the stem's case 28 of 32 columns are taps of the filter
// Needs     as conv_halo.cuh
// H200      stem of 224x224, batch 256: 328 us (994 in the tiles of conv_mma.cuh)
#pragma once

#include "kernels/cuda/conv/conv_halo_patch.cuh"

namespace fp::FP_MACHINE {

template <int kRuns_>
struct HaloFilterTile {
    static constexpr int kGroups = 2, kWarpsN = 4, kTerms = kHaloFilterTerms / kWarpsN;
    static constexpr int kRuns = kRuns_, kWarps = kGroups * kWarpsN, kThreads = kWarps * kWarp;
    static constexpr int kFilters = kRuns * 16;
    static constexpr int kChunks = 2 * kRuns, kPitch = kChunks | 1;  // per pixel of dy
    using Sums = float[kRuns][kTerms][4];
};

// Loads dy of a tile's pixels, with zeros behind the last one, so that whatever a patch holds there adds nothing.
template <class T>
__device__ void halo_gradient(
    const HaloFilterSizes& g, const bf16* __restrict__ dy, int tile, int first_filter, unsigned char* to) {
    const int first_pixel = tile * g.x.tile_pixels(), pixels = g.x.pixels_of(tile);
    for (int i = thread_index(); i < g.pixels * T::kChunks; i += T::kThreads) {
        const int pixel = i / T::kChunks, chunk = i % T::kChunks;
        const int k = first_filter + chunk * kHaloChunk;
        const bool valid = pixel < pixels && k < g.x.y_c;
        cp_async16(to + (pixel * T::kPitch + chunk) * 16, dy + (valid ? int64_t(first_pixel + pixel) * g.x.y_c + k : 0),
                   valid);
    }
}

// The offset in its filter of element e of a term; -1 for columns of the stem's pixel pairs that are not a tap.
template <bool kPairs>
__device__ int halo_filter_at(const HaloSizes& g, int term, int e) {
    if constexpr (!kPairs) return term * kHaloChunk + e;
    const int s = term % g.s * 2 - g.shift + e / 4;
    if (unsigned(s) >= unsigned(g.filter_s)) return -1;
    return (term / g.s * g.filter_s + s) * 4 + e % 4;
}

template <class T, bool kPairs>
__global__ void __launch_bounds__(T::kThreads, 1) halo_filter_kernel(const __grid_constant__ HaloFilterSizes g,
                                                                     const bf16* __restrict__ x,
                                                                     const bf16* __restrict__ dy,
                                                                     float* out,
                                                                     Write write) {
    DYN_SHARED(unsigned char, shared);
    const HaloSizes& gx = g.x;
    int *const bases = reinterpret_cast<int*>(shared), *const places = bases + g.pixels;
    unsigned char *const patches = shared + gx.patches_at, *const gradients = shared + g.gradients_at;
    const int gradient_bytes = g.pixels * T::kPitch * 16;
    const int l = lane_index(), group = warp_index() / T::kWarpsN;
    const int first_filter = int(blockIdx.y) * T::kFilters;
    const int first_term = int(blockIdx.z) * kHaloFilterTerms + warp_index() % T::kWarpsN * T::kTerms;

    for (int i = thread_index(); i < gx.tile_pixels(); i += T::kThreads) bases[i] = halo_pixel(gx, i) * 16;
    halo_places<T>(gx, places);
    constexpr int kPairsOfTerms = (T::kTerms + 1) / 2;
    int offsets[kPairsOfTerms];  // in the patch, of this lane's term of each pair
    UNROLL
    for (int i = 0; i < kPairsOfTerms; ++i) {
        const int own = 2 * i + l / 16, term = first_term + own;
        offsets[i] = own < T::kTerms && term < gx.terms() ? halo_offset(gx, term) * 16 : 0;
    }
    block_sync();

    const auto bring = [&](int of, int buffer) {
        halo_patch<T>(gx, x, of, places, patches + buffer * gx.patch_bytes);
        halo_gradient<T>(g, dy, of, first_filter, gradients + buffer * gradient_bytes);
    };
    typename T::Sums sums = {};
    int tile = int(blockIdx.x);
    bring(tile, 0);
    cp_async_commit();
    for (int round = 0; tile < gx.tiles; ++round) {
        cp_async_wait<0>();
        block_sync();  // this tile is visible to all threads, and no thread reads the previous one any more
        const int next = tile + int(gridDim.x);
        if (next < gx.tiles) bring(next, (round + 1) % 2);
        cp_async_commit();
        warp_sync();  // reconverges lanes that started different numbers of copies

        const unsigned char* patch = patches + round % 2 * gx.patch_bytes;
        const unsigned char* gradient =
            gradients + round % 2 * gradient_bytes + ((l % 8 + l / 16 * 8) * T::kPitch + l / 8 % 2) * 16;
        const int pixels = gx.pixels_of(tile);
        for (int first = group * 16; first < pixels; first += T::kGroups * 16) {
            const int pixel = first + l % 16;
            const unsigned char* from = patch + (pixel < pixels ? bases[pixel] : 0);
            uint32_t rows[T::kRuns][4], columns[kPairsOfTerms][4];
            UNROLL
            for (int i = 0; i < kPairsOfTerms; ++i) ldmatrix_x4_trans(columns[i], from + offsets[i]);
            UNROLL
            for (int i = 0; i < T::kRuns; ++i) ldmatrix_x4_trans(rows[i], gradient + (first * T::kPitch + 2 * i) * 16);
            UNROLL
            for (int i = 0; i < T::kRuns; ++i) {
                UNROLL
                for (int t = 0; t < T::kTerms; ++t) {
                    const uint32_t column[2] = {columns[t / 2][t % 2 * 2], columns[t / 2][t % 2 * 2 + 1]};
                    mma_bf16(sums[i][t], rows[i], column);
                }
            }
        }
        tile = next;
    }
    cp_async_wait<0>();
    block_sync();  // no thread reads a tile any more: their memory is free

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

    float* part = out + int64_t(blockIdx.x) * gx.k * gx.taps_c;
    UNROLL
    for (int t = 0; t < T::kTerms; ++t) {
        const int term = first_term + t;
        if (term >= gx.terms()) continue;
        const int at = halo_filter_at<kPairs>(gx, term, l % 4 * 2);
        if (at < 0) continue;
        UNROLL
        for (int i = 0; i < T::kRuns; ++i) {
            UNROLL
            for (int half = 0; half < 2; ++half) {
                const int k = first_filter + i * 16 + half * 8 + l / 4;
                if (k >= gx.k) continue;
                auto* to = reinterpret_cast<float2*>(part + int64_t(k) * gx.taps_c + at);
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
