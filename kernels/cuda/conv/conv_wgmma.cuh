// Convolution in bf16 on Hopper's warpgroup matrix instructions (wgmma), one block per tile: the forward pass, and the
// gradient of the input at stride 1, which is a convolution of dy with the filters rotated by 180 degrees.
//
//   forward         y[n,p,q,k]  = act(bias[k] + residual[n,p,q,k] + sum_rsc w[k,r,s,c] x[n,h,w,c])
//                                 h = p stride + r - pad, w alike
//   backward_data   dx[n,h,w,c] (+)= sum_rsk w[k,R-1-r,S-1-s,c] dy[n,h+r-pad',w+s-pad',k]      pad' = R-1-pad
//
// Shapes    x, dx (N,H,W,C)  w (K,R,S,C)  y, dy (N,P,Q,K), all bf16, C a multiple of 8; sums in float32
// GEMM      M = output pixels, N = output channels. The sum runs in steps of one tap and one chunk of 64 input
//           channels. For each step an im2col copy loads 256 or 128 pixels x 64 channels of the tap, and tiled copies
//           load the same 64 channels of the filters. What lies outside the map, the channels or the filters is loaded
//           as zeros.
// Filters   are read as stored, (K,R,S,C), by both passes. Forward sums over C: a row of the operand is one filter
//           (K-major). The gradient sums over K: a row is one k with 64 output channels C (MN-major). Nothing is
//           transposed in memory.
// Threads   wgmma_ring.cuh: one producer thread, and two consumer warpgroups that multiply half of the pixels each. In
//           the last chunk of a tap the products stop at the last 16 channels that exist: 72 channels cost as much as
//           80. The producer counts taps and chunks instead of dividing.
// Epilogue  Each warp has 16 rows of shared memory. Asynchronous copies load the residual (or the dx that the gradient
//           is added to) into them, the first 16 rows during the products. The warp reads them as fragments, and writes
//           the result back to them, so that global memory is accessed in 16-byte pieces of whole rows.
// Moments   are accumulated from the same rows of shared memory, each lane over pairs of columns (LanePair), and then
//           combined over the eight warps by one thread per column. A tile is a part (kernels/ops/moments.h).
// Traffic   from L2 a block reads its pixels once per tap and its filters once; HBM traffic is bytes(2)
// Bound     compute from 128 channels on; at 64 channels L2, because a 3x3 reads every pixel nine times
// H200      batch 256: 3x3 of 121 channels to 149 at 14x14 40 us (tile 128x160). On large maps conv_stream.cuh is
//           faster: here 64 channels at 56x56 took 235 us, the gradient of 512 at 7x7 133. The producer still divided
//           in every step when these were measured.
// Needs     sm_90a; pads up to 127; strides up to 8 in the forward pass
#pragma once

#include "kernels/cuda/conv/conv.cuh"
#include "kernels/cuda/conv/conv_epilogue.cuh"
#include "kernels/cuda/products/wgmma_ring.cuh"
#include "kernels/cuda/walks/pack.cuh"

namespace fp::FP_MACHINE {

// Forward: the filters of a stage. Each of the kOutputs rows is one filter with 64 channels of the sum.
template <int kOutputs>
struct FilterRows {
    static constexpr Operand kOperand = Operand::rows;
    static constexpr int kBytes = kOutputs * kRowBytes;

    static TensorMapSpec spec(const ConvSizes& g, const bf16* w) {  // g of the forward convolution
        return {.base = w,
                .rank = 3,
                .size = {g.c, g.r * g.s, g.k},
                .stride = {1, g.c, g.taps_c()},
                .box = {kChunk, 1, kOutputs}};
    }
    static TensorMap map(const ConvSizes& g, const bf16* w) { return encode(spec(g, w)); }
    __device__ static void bring(unsigned char* to,
                                 const TensorMap& filters,
                                 const ConvSizes&,
                                 int tap,
                                 int channel,
                                 int first_output,
                                 Mbarrier* b) {
        tensor_load_3d(to, filters, channel, tap, first_output, b);
    }
    __device__ static uint64_t descriptor(const unsigned char* at, int k) {
        return row_descriptor(at + k * kProductDepth * int(sizeof(bf16)));
    }
    static constexpr int kNext = kProductDepth * int(sizeof(bf16)) / 16;  // descriptor(at, k + 1) - descriptor(at, k)
};

// Backward: the same filters for the rotated convolution. Each row is one k of the sum with 64 output channels.
template <int kOutputs>
struct FilterColumns {
    static constexpr Operand kOperand = Operand::columns;
    static_assert(kOutputs % kChunk == 0);
    static constexpr int kBlocks = kOutputs / kChunk;
    static constexpr int kBlockBytes = kChunk * kRowBytes, kBytes = kBlocks * kBlockBytes;

    static TensorMap map(const ConvSizes& g, const bf16* w) {
        return encode({.base = w,
                       .rank = 3,
                       .size = {g.c, g.r * g.s, g.k},
                       .stride = {1, g.c, g.taps_c()},
                       .box = {kChunk, 1, kChunk}});
    }
    __device__ static void bring(unsigned char* to,
                                 const TensorMap& filters,
                                 const ConvSizes& g,
                                 int tap,
                                 int channel,
                                 int first_output,
                                 Mbarrier* b) {
        UNROLL
        for (int i = 0; i < kBlocks; ++i)
            tensor_load_3d(to + i * kBlockBytes, filters, first_output + i * kChunk, g.r * g.s - 1 - tap, channel, b);
    }
    __device__ static uint64_t descriptor(const unsigned char* at, int k) {
        return column_descriptor(at + k * kProductDepth * kRowBytes, kBlockBytes);
    }
    static constexpr int kNext = kProductDepth * kRowBytes / 16;
};

template <int kPixels_, int kOutputs_, template <int> class Filters_>
struct PixelTile : ConsumerTile<kPixels_, kOutputs_> {
    static constexpr int kPixels = kPixels_, kOutputs = kOutputs_;
    using Filters = Filters_<kOutputs>;
    static constexpr int kPixelBytes = kPixels * kRowBytes;
    static constexpr int kRow = kOutputs + 8;  // row pitch of the result; 8 of padding against bank conflicts
    using Stages = StageRing<kPixelBytes + Filters::kBytes>;
    struct Shared {
        Stages ring;
        alignas(16) bf16 result[kConsumers * kProductRows][kRow];
    };
};

// The steps of a block in order: all full chunks of 64 channels, tap by tap, then the last, partial chunk of each tap.
struct Steps {
    int taps, whole_chunks;  // full chunks per tap
    int tail;                // channels in the partial chunk; 0: there is none
    __device__ explicit Steps(const ConvSizes& g) : taps(g.r * g.s), whole_chunks(g.c / kChunk), tail(g.c % kChunk) {}
    __device__ int whole() const { return taps * whole_chunks; }
    __device__ int all() const { return whole() + (tail > 0 ? taps : 0); }
};

template <class Tile>
__device__ void bring_pixels(typename Tile::Stages& ring,
                             const TensorMap& pixels,
                             const TensorMap& filters,
                             const ConvSizes& g,
                             int first_pixel,
                             int first_output) {
    const Steps steps(g);
    const PixelPlace at(g, first_pixel);
    const int w = at.q * g.stride - g.pad, h = at.p * g.stride - g.pad, whole = steps.whole();
    // Tap and chunk of the step are counted, not computed: a division per step would slow the producer down.
    int tap = 0, r = 0, s = 0, chunk = 0;
    const auto next_tap = [&] {
        ++tap;
        if (++s == g.s) s = 0, ++r;
    };
    ring.fill(steps.all(), [&](int i, unsigned char* stage, Mbarrier* full) {
        tensor_load_im2col(stage, pixels, chunk * kChunk, w, h, at.n, s, r, full);
        Tile::Filters::bring(stage + Tile::kPixelBytes, filters, g, tap, chunk * kChunk, first_output, full);
        if (i + 1 == whole)  // the partial chunks follow, from the first tap on
            tap = r = s = 0, chunk = steps.whole_chunks;
        else if (i >= whole)
            next_tap();
        else if (++chunk == steps.whole_chunks)
            chunk = 0, next_tap();
    });
}

template <class Tile>
__device__ void multiply_pixels(typename Tile::Stages& ring,
                                const ConvSizes& g,
                                int consumer,
                                typename Tile::Sums& sums) {
    using Filters = typename Tile::Filters;
    const auto multiply = [&](const unsigned char* stage, int k, bool add) {
        UNROLL
        for (int m = 0; m < Tile::kProducts; ++m)
            wgmma_bf16<Tile::kOutputs, Operand::rows, Filters::kOperand>(
                sums[m],
                row_descriptor(stage + Tile::first_row(consumer, m) * kRowBytes +
                               k * kProductDepth * int(sizeof(bf16))),
                Filters::descriptor(stage + Tile::kPixelBytes, k), add);
    };
    const Steps steps(g);
    const int whole = steps.whole(), all = steps.all();
    ring.template drain<4>(0, whole, multiply);
    if (whole < all) {
        if (steps.tail <= 16)
            ring.template drain<1>(whole, all, multiply);
        else if (steps.tail <= 32)
            ring.template drain<2>(whole, all, multiply);
        else if (steps.tail <= 48)
            ring.template drain<3>(whole, all, multiply);
        else
            ring.template drain<4>(whole, all, multiply);
    }
    UNROLL
    for (int m = 0; m < Tile::kProducts; ++m) wgmma_settled(sums[m]);
}

// Calls body(row of the warp's 16, column, offset in y) for this lane's pieces of 8 outputs that exist.
template <int kOutputs, class Body>
__device__ void for_pieces(const ConvSizes& g, int first_pixel, int first_output, Body body) {
    constexpr int kPieces = kOutputs / 8;
    for (int i = lane_index(); i < kWarpRows * kPieces; i += kWarp) {
        const int row = i / kPieces, column = i % kPieces * 8;
        const int pixel = first_pixel + row, k = first_output + column;
        if (pixel < g.pixels_out() && k < g.y_c) body(row, column, int64_t(pixel) * g.y_c + k);
    }
}

// Adds bias and residual (read from the warp's rows) to the accumulators, applies ReLU, rounds, and writes to the rows.
template <int kOutputs, class Row>
__device__ void finish(
    const float (&sums)[kOutputs / 2], Row* result, const ConvSizes& g, int first_output, const Epilogue& to) {
    const int l = lane_index();
    UNROLL
    for (int j = 0; j < kOutputs / 16; ++j) {
        bf16* place = &result[l % 16][j * 16 + l / 16 * 8];
        uint32_t pairs[4] = {};  // rows 0-7 and 8-15 of columns 0-7, then of 8-15
        if (to.residual) ldmatrix_x4(pairs, place);
        UNROLL
        for (int m = 0; m < 4; ++m) {
            float2 v = halves(pairs[m]);
            const int column = first_output + j * 16 + m / 2 * 8 + l % 4 * 2;
            v.x += sums[j * 8 + m * 2];
            v.y += sums[j * 8 + m * 2 + 1];
            if (to.bias && column < g.y_c) {
                const float2 bias = ldg(reinterpret_cast<const float2*>(to.bias + column));
                v.x += bias.x;
                v.y += bias.y;
            }
            if (to.relu) v = {relu(v.x), relu(v.y)};
            pairs[m] = pack_bf16(v.x, v.y);
        }
        stmatrix_x4(place, pairs);
    }
}

// `residual` may be `y` itself: only one warp reads and writes a piece, and it reads first.
template <class Tile>
__global__ void __launch_bounds__(kRingThreads, 1) wgmma_pixels_kernel(const __grid_constant__ TensorMap pixels,
                                                                       const __grid_constant__ TensorMap filters,
                                                                       const __grid_constant__ ConvSizes g,
                                                                       const __grid_constant__ Epilogue to) {
    constexpr int kOutputs = Tile::kOutputs;
    DYN_SHARED(typename Tile::Shared, memory);
    auto& shared = *memory;
    if (thread_index() == 0) shared.ring.init();
    block_sync();
    const int first_pixel = int(blockIdx.x) * Tile::kPixels;
    const int first_output = int(blockIdx.y) * kOutputs;
    const int warpgroup = warpgroup_index();
    if (warpgroup == 0) {
        if (warp_index() == 0 && elect_one())
            bring_pixels<Tile>(shared.ring, pixels, filters, g, first_pixel, first_output);
        return;
    }

    const int consumer = warpgroup - 1, warp = warp_index() - kGroupWarps;
    auto* result = &shared.result[warp * kWarpRows];
    const auto pixel_of = [&](int product) {
        return first_pixel + Tile::first_row(consumer, product) + warp % kGroupWarps * kWarpRows;
    };
    const auto bring_residual = [&](int product) {
        if (!to.residual) return;
        for_pieces<kOutputs>(g, pixel_of(product), first_output, [&](int row, int column, int64_t offset) {
            cp_async16(&result[row][column], to.residual + offset);
        });
        cp_async_commit();
    };
    bring_residual(0);
    typename Tile::Sums sums;
    multiply_pixels<Tile>(shared.ring, g, consumer, sums);

    constexpr int kWords = (kOutputs + 2 * kWarp - 1) / (2 * kWarp);  // pairs of columns per lane
    LanePair seen[kWords] = {};
    int rows_seen = 0;  // of the warp
    const auto word_of = [&](int i) { return lane_index() + i * kWarp; };
    UNROLL
    for (int m = 0; m < Tile::kProducts; ++m) {
        if (m > 0) {
            warp_sync();  // all lanes have stored the previous rows
            bring_residual(m);
        }
        cp_async_wait<0>();
        warp_sync();
        finish<kOutputs>(sums[m], result, g, first_output, to);
        warp_sync();
        for_pieces<kOutputs>(g, pixel_of(m), first_output, [&](int row, int column, int64_t offset) {
            stg(reinterpret_cast<uint4*>(to.y + offset), *reinterpret_cast<const uint4*>(&result[row][column]));
        });
        if (!to.moments.data) continue;
        const int rows = g.pixels_out() - pixel_of(m);
        const unsigned present = rows >= kWarpRows ? 0xffff : rows > 0 ? (1u << rows) - 1 : 0;
        UNROLL
        for (int i = 0; i < kWords; ++i) {
            const auto pair_of = [&](int row) { return reinterpret_cast<uint32_t*>(result[row]) + word_of(i); };
            if (word_of(i) < kOutputs / 2) seen[i].add(pair_of, present, rows_seen == 0);
        }
        rows_seen += count_bits(present);
    }
    if (!to.moments.data) return;

    // Each warp puts its sums into its rows, which are free again; then one thread per column combines all eight.
    constexpr int kWarpBytes = kWarpRows * Tile::kRow * int(sizeof(bf16)), kWarps = kConsumers * kGroupWarps;
    const auto sums_of = [&](int of_warp) {
        return reinterpret_cast<AboutBase*>(reinterpret_cast<unsigned char*>(shared.result) + of_warp * kWarpBytes);
    };
    static_assert(kOutputs * sizeof(AboutBase) <= kWarpBytes);
    warp_sync();
    UNROLL
    for (int i = 0; i < kWords; ++i) {
        if (word_of(i) >= kOutputs / 2) continue;
        const float2 base = halves(seen[i].base);
        AboutBase* const to_pair = sums_of(warp) + word_of(i) * 2;
        to_pair[0] = {float(rows_seen), base.x, seen[i].sum.x, seen[i].square.x};
        to_pair[1] = {float(rows_seen), base.y, seen[i].sum.y, seen[i].square.y};
    }
    named_sync(1, kConsumers * kWarpgroup);
    const int column = thread_index() - kWarpgroup;
    if (column < min(kOutputs, g.y_c - first_output))
        to.moments.store(int(blockIdx.x), first_output + column,
                         joined<kWarps>([&](int i) { return sums_of(i)[column]; }));
}

}  // namespace fp::FP_MACHINE
