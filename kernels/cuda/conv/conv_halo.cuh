// Convolution of few channels in bf16. A block loads a patch of the input, with its halo, into shared memory once, and
// each tap reads the patch at another offset. The kernel computes the forward pass at strides 1 and 2, the gradient of
// the input at stride 1, and the stem.
//
//   y[n,p,q,k] = act(bias[k] + residual[n,p,q,k] + sum_rsc w[k,r,s,c] x[n,p stride+r-pad,q stride+s-pad,c])
//
// Shapes    x (N,H,W,C) w (K,R,S,C) bf16, C a multiple of 8   y (N,P,Q,K) bf16; sums in float32
// GEMM      M = output pixels, N = output channels. The sum runs over terms: one tap and one chunk of 8 channels each,
//           two terms per product. Terms have no gaps, so 24 channels cost three quarters of 32.
// Tile      whole rows of the output: either some rows of one image, a divisor of its height, or some whole images. The
//           outputs of a tile are contiguous in y. Blocks are persistent: block b computes tiles b, b + grid, b + 2
//           grid and so on.
// Patch     conv_halo_patch.cuh. With two patches in shared memory the next tile's is loaded while this one is
//           multiplied. With one patch, which is used where that leaves room for another block, it is loaded while this
//           tile's outputs are stored.
// Filters   All filters of a block stay in shared memory.
// Products  conv_halo_products.cuh: mma.sync, or Hopper's warpgroup products for the stem
// Stem      4 stored channels at stride 2: two neighbouring pixels count as one of 8 channels, of which an output reads
//           R x (S+1)/2 at stride 1 along the row. Where the padding is odd the filters are shifted by a pixel.
// Threads   128 or 256: warps over kM x kN outputs, each with several runs of 16 pixels and several pieces of 8
//           channels. A run is stored through 16 rows of shared memory that belong to the warp.
// Traffic   HBM: input and output once. L2: the input (rows + R - stride) / rows times for each slice of kN outputs,
//           and the filters of a slice once per block.
// Moments   A warp sums the columns of its part of a tile by shuffles; the warps of a block are joined per tile, and
//           the block's moments accumulate in shared memory: one part per block.
// Bound     memory up to about 32 channels, then the products: mma.sync reaches at most two thirds of the peak
// Needs     sm_90a for the warpgroup products; C a multiple of 8, or C = 4 at stride 2 with an even width
// H200      batch 256, bf16, inference, us; in brackets the same layer in the tiles of conv_wgmma.cuh, the stem in
//           those of conv_mma.cuh. Measured with an earlier form of the loops, which had the same tiles and products.
//             56x56, 3x3   21>16 43 (286)   21>27 63 (329)   27>21 66 (197)   21>65 at stride 2 59 (102)
//             28x28, 3x3   65>35 59 (116), with 65 channels stored as 72
//             stem of 224x224, 7x7 at stride 2   3>64 328 (863), by mma.sync 396   3>21 by mma.sync 170 (839)
//           With warpgroup products 21>16 took 50, 65>35 56.5, and a whole pruned ResNet-18 1472 instead of 1415, so
//           narrow layers use mma.sync only. The stem with moments took 507 on mma.sync, when each tile was a part of
//           the moments; it is not measured with warpgroup products.
#pragma once

#include "kernels/cuda/conv/conv_epilogue.cuh"
#include "kernels/cuda/conv/conv_halo_products.cuh"

namespace fp::FP_MACHINE {

template <class T, HaloFilters kFilters>
__device__ void halo_filters(const HaloSizes& g, const bf16* __restrict__ w, int first_output, unsigned char* to) {
    const int terms = g.steps * 2;
    for (int i = thread_index(); i < terms * T::kN; i += T::kThreads) {
        const int line = i % 8;  // of the matrix
        if constexpr (kFilters == HaloFilters::turned) {
            const int matrix = i / 8 % T::kMatrices, term = i / 8 / T::kMatrices;
            const int tap = term / g.chunks, k = term % g.chunks * kHaloChunk + line;
            const int c = first_output + matrix * 8;
            const bool valid = term < g.terms() && k < g.k && c < g.filter_c;
            cp_async16(to + (term * T::kMatrices + matrix) * kHaloMatrix + line * 16,
                       w + (valid ? int64_t(k) * g.taps_c + (g.r * g.s - 1 - tap) * g.filter_c + c : 0), valid);
        } else {
            const int term = i / 8 % terms, matrix = i / 8 / terms;
            const int k = first_output + matrix * 8 + line;
            const bool valid = term < g.terms() && k < g.k;
            unsigned char* place = to + (term * T::kMatrices + matrix) * kHaloMatrix + line * 16;
            if constexpr (kFilters == HaloFilters::forward) {
                cp_async16(place, w + (valid ? int64_t(k) * g.taps_c + term * kHaloChunk : 0), valid);
            } else {
                const int r = term / g.s, s = term % g.s * 2 - g.shift;
                const bf16* row = w + (valid ? int64_t(k) * g.taps_c + r * g.filter_s * 4 : 0);
                UNROLL
                for (int half = 0; half < 2; ++half) {
                    const bool there = valid && unsigned(s + half) < unsigned(g.filter_s);
                    cp_async8(place + half * 8, row + (there ? (s + half) * 4 : 0), there);
                }
            }
        }
    }
}

// The epilogue of a warp's part of a tile, one run of 16 pixels at a time. T: a policy of conv_halo_products.cuh.
template <class T>
struct HaloOut {
    // Row pitch of a run in shared memory, in chunks of 16 bytes: odd, against bank conflicts.
    static constexpr int kPitch = T::kPieces | 1;

    const HaloSizes& g;
    const Epilogue& to;
    unsigned char* rows;  // the warp's
    int first_output;     // the warp's

    __device__ unsigned char* rows_of(int i) const { return rows + (g.keeps_residual ? i * 16 * kPitch * 16 : 0); }

    // Calls body(address in shared memory, offset in y) for this lane's pieces of run i that exist.
    template <class Body>
    __device__ void for_pieces(int i, int first_pixel, int pixels, Body body) const {
        const HaloRun run = T::run(g, i, pixels);
        for (int e = lane_index(); e < min(run.count, 16) * T::kPieces; e += kWarp) {
            const int row = e / T::kPieces, piece = e % T::kPieces;
            const int k = first_output + piece * 8;
            if (k < g.y_c)
                body(rows_of(i) + (row * kPitch + piece) * 16, int64_t(first_pixel + run.first + row) * g.y_c + k);
        }
    }

    __device__ void bring_residual(int first_pixel, int pixels) const {
        for (int i = 0; i < T::kRuns; ++i)
            for_pieces(i, first_pixel, pixels,
                       [&](unsigned char* place, int64_t offset) { cp_async16(place, to.residual + offset); });
    }

    __device__ float2 bias_of(int piece) const {
        const int column = first_output + piece * 8 + lane_index() % 4 * 2;
        if (!to.bias || column >= g.y_c) return {0, 0};
        return ldg(reinterpret_cast<const float2*>(to.bias + column));
    }

    // A pass with moments has neither residual nor ReLU.
    template <bool kMoments>
    __device__ void store(const typename T::Sums& sums, int first_pixel, int pixels) const {
        const int l = lane_index();
        UNROLL
        for (int i = 0; i < T::kRuns; ++i) {
            auto* words = reinterpret_cast<uint32_t*>(rows_of(i));
            UNROLL
            for (int j = 0; j < T::kPieces; ++j) {
                const float2 bias = bias_of(j);
                UNROLL
                for (int half = 0; half < 2; ++half) {
                    uint32_t* word = words + (half * 8 + l / 4) * (kPitch * 4) + j * 4 + l % 4;
                    float2 v = T::pair(sums, i, j, half);
                    v.x += bias.x;
                    v.y += bias.y;
                    if (!kMoments && to.residual) {
                        const float2 add = halves(*word);
                        v.x += add.x;
                        v.y += add.y;
                    }
                    if (!kMoments && to.relu) v = {relu(v.x), relu(v.y)};
                    *word = pack_bf16(v.x, v.y);
                }
            }
            warp_sync();
            for_pieces(i, first_pixel, pixels, [&](const unsigned char* place, int64_t offset) {
                stg(reinterpret_cast<uint4*>(to.y + offset), *reinterpret_cast<const uint4*>(place));
            });
            warp_sync();  // all lanes have stored these rows
        }
    }

    // Writes the moments of the warp's columns, accumulated about its first pixel, to its rows. Values are rounded
    // again, piece by piece: the rounded values of all pieces would not fit in registers beside the accumulators.
    __device__ void put_moments(const typename T::Sums& sums, int pixels) const {
        const int l = lane_index();
        int count = 0;
        for (int i = 0; i < T::kRuns; ++i)
            if (const int here = T::run(g, i, pixels).count; here > 0) count += min(here, 16);
        auto* moments = reinterpret_cast<ColumnMoments*>(rows);
        UNROLL
        for (int j = 0; j < T::kPieces; ++j) {
            const float2 bias = bias_of(j);
            float2 base{}, sum{}, square{};
            UNROLL
            for (int i = 0; i < T::kRuns; ++i) {
                const HaloRun run = T::run(g, i, pixels);
                UNROLL
                for (int half = 0; half < 2; ++half) {
                    const float2 v = T::pair(sums, i, j, half);
                    const float2 stored = halves(pack_bf16(v.x + bias.x, v.y + bias.y));
                    if (i == 0 && half == 0) base = {shuffle(stored.x, l % 4), shuffle(stored.y, l % 4)};
                    if (half * 8 + l / 4 >= run.count) continue;
                    const float2 d{stored.x - base.x, stored.y - base.y};
                    sum.x += d.x;
                    sum.y += d.y;
                    square.x += d.x * d.x;
                    square.y += d.y * d.y;
                }
            }
            for (int lanes = 4; lanes < kWarp; lanes *= 2) {
                sum.x += shuffle_xor(sum.x, lanes);
                sum.y += shuffle_xor(sum.y, lanes);
                square.x += shuffle_xor(square.x, lanes);
                square.y += shuffle_xor(square.y, lanes);
            }
            if (l >= 4) continue;
            const float one_of = count > 0 ? 1 / float(count) : 0;
            const float2 mean{sum.x * one_of, sum.y * one_of};
            moments[j * 8 + l * 2] = {float(count), base.x + mean.x, square.x - sum.x * mean.x};
            moments[j * 8 + l * 2 + 1] = {float(count), base.y + mean.y, square.y - sum.y * mean.y};
        }
    }
};

// Adds the moments that the block's warps have written to their rows to `moments`, each column by the thread of its
// number. A barrier comes before the call.
template <class T>
__device__ void halo_join_moments(const HaloSizes& g, const unsigned char* results, ColumnMoments* moments) {
    constexpr int kWarpN = T::kPieces * 8;
    const int c = thread_index();
    if (c >= T::kN) return;
    ColumnMoments all = moments[c];
    for (int i = 0; i < T::kWarpsM; ++i) {
        const int warp = i * T::kWarpsN + c / kWarpN;
        all.join(reinterpret_cast<const ColumnMoments*>(results + warp * g.result_bytes)[c % kWarpN]);
    }
    moments[c] = all;
}

// `residual` may be `y` itself: only one warp reads and writes a piece, and it reads first.
template <class T, HaloFilters kFilters, bool kMoments>
__global__ void __launch_bounds__(T::kThreads, T::resident(kMoments)) halo_kernel(const __grid_constant__ HaloSizes g,
                                                                                  const bf16* __restrict__ x,
                                                                                  const bf16* __restrict__ w,
                                                                                  const __grid_constant__ Epilogue to) {
    DYN_SHARED(unsigned char, shared);
    int *const terms = reinterpret_cast<int*>(shared), *const places = terms + g.steps * 2;
    unsigned char *const filters = shared + g.filters_at, *const patches = shared + g.patches_at;
    unsigned char* const results = shared + g.results_at;
    const int first_output = int(blockIdx.y) * T::kN;
    T::put_terms(g, terms);
    halo_places<T>(g, places);
    halo_filters<T, kFilters>(g, w, first_output, filters);
    block_sync();
    int tile = int(blockIdx.x);
    halo_patch<T>(g, x, tile, places, patches);
    cp_async_commit();
    const T products(g);
    const HaloOut<T> out{g, to, results + warp_index() * g.result_bytes,
                         first_output + warp_index() % T::kWarpsN * (T::kPieces * 8)};

    static_assert(T::kN <= T::kThreads);
    auto* const moments = reinterpret_cast<ColumnMoments*>(results + T::kWarps * g.result_bytes);
    if (kMoments && thread_index() < T::kN) moments[thread_index()] = {};
    const bool two = g.buffers == 2;
    for (int patch = 0; tile < g.tiles;) {
        const int first_pixel = tile * g.tile_pixels(), pixels = g.pixels_of(tile);
        cp_async_wait<0>();
        T::patch_is_written();
        block_sync();  // this patch is visible to all threads, and no thread reads the previous one any more
        if (to.residual) out.bring_residual(first_pixel, pixels);
        cp_async_commit();
        const int next = tile + int(gridDim.x);
        if (two) {
            if (next < g.tiles) halo_patch<T>(g, x, next, places, patches + (g.patch_bytes - patch));
            cp_async_commit();
        }
        warp_sync();  // reconverges lanes that started different numbers of copies

        typename T::Sums sums;
        products.template multiply<kFilters>(g, patches + patch, filters, terms, sums);

        if (!two) {
            block_sync();  // no thread reads this patch any more
            if (next < g.tiles) halo_patch<T>(g, x, next, places, patches);
            cp_async_commit();
        }
        cp_async_wait<1>();
        warp_sync();  // the residual is visible to the whole warp
        out.template store<kMoments>(sums, first_pixel, pixels);
        if constexpr (kMoments) {
            out.put_moments(sums, pixels);
            block_sync();
            halo_join_moments<T>(g, results, moments);
        }
        tile = next;
        if (two) patch = g.patch_bytes - patch;
    }
    if constexpr (kMoments)
        if (const int c = thread_index(); c < min(T::kN, g.y_c - first_output))
            to.moments.store(int(blockIdx.x), first_output + c, moments[c]);
}

}  // namespace fp::FP_MACHINE
