// The gradient of the filters, in bf16 on Hopper's warpgroup matrix instructions (wgmma).
//
//   dw[k,r,s,c] = sum_npq dy[n,p,q,k] x[n,h,w,c]      h = p stride + r - pad, w alike
//
// Shapes    x (N,H,W,C)  dy (N,P,Q,K), both bf16, C a multiple of 8   dw (K,R,S,C) float32
// GEMM      M = blocks of 64 channels of one tap, N = K. The sum over NPQ is split over thread blocks (grid z); the
//           partial sums are added in order (parts.cu), so that every run gives the same bits.
// Operands  Both are MN-major: a stage holds 64 pixels, each a row of 64 channels. im2col copies load x at the tap of
//           each block of channels, tiled copies load dy. Elements outside of the map, behind the last pixel, channel
//           or filter are loaded as zeros, so nothing is masked. Neither operand is transposed in memory.
// Threads   wgmma_ring.cuh: one producer thread, and two consumer warpgroups that multiply half of the channels each.
//           The producer computes taps and channels once and advances a pixel counter instead of dividing: the products
//           of a step take 512 to 1024 clocks.
// Epilogue  from registers: eight lanes of a warp write eight consecutive channels, 32 bytes
// Traffic   from L2 a block reads x once for each of its taps and dy once; HBM traffic is bytes(2), with dw in float32,
//           and the partial sums, which cost 8 bytes per weight and part
// Bound     compute from 128 channels on; at 64 channels L2, because a 3x3 reads every pixel nine times. A last chunk
//           of fewer than 64 channels costs as much as 64.
// H200      batch 256, with the addition of the parts, microseconds: 256 channels at 14x14 88, 512 at 7x7 109, 512 at
//           14x14 and stride 2 111; 1x1 at stride 2 and 56x56 64>128 33, 256>512 94
// Needs     sm_90a; pads up to 127, strides up to 8
#pragma once

#include "kernels/cuda/conv/conv.cuh"
#include "kernels/cuda/conv/pixel_counter.cuh"
#include "kernels/cuda/plan/tiling.h"
#include "kernels/cuda/products/wgmma_ring.cuh"
#include "kernels/cuda/walks/pack.cuh"

namespace fp::FP_MACHINE {

template <int kChannels_, int kFilters_>
struct FilterTile : ConsumerTile<kChannels_, kFilters_> {
    static constexpr int kFilters = kFilters_;
    static constexpr int kStepPixels = 64;
    static constexpr int kPanelBytes = kStepPixels * kRowBytes;  // 64 pixels x 64 channels or filters
    static constexpr int kBlocks = kChannels_ / kChunk;
    static_assert(kFilters % kChunk == 0);
    static constexpr int kPanels = kFilters / kChunk;
    using Stages = StageRing<(kBlocks + kPanels) * kPanelBytes>;
};

// Rows of the product, in blocks of 64: the chunks of channels, tap by tap. Blocks behind the last one load zeros.
struct ChannelBlock {
    int tap, channel;
    __device__ ChannelBlock(const ConvSizes& g, int i) {
        const int chunks = (g.c + kChunk - 1) / kChunk;
        const bool exists = i < g.r * g.s * chunks;
        tap = exists ? i / chunks : 0;
        channel = exists ? i % chunks * kChunk : chunks * kChunk;
    }
};

__device__ inline void store_sum(float* to, float sum, Write write) {
    store_one(to, write == Write::add ? load_one(to) + sum : sum);
}

// The producer: fills the stages of a block. Taps and channels are the same in every step; the pixel is counted.
template <class Tile>
__device__ void bring_filter(typename Tile::Stages& ring,
                             const TensorMap& x,
                             const TensorMap& dy,
                             const ConvSizes& g,
                             int first_block,
                             int first_filter,
                             int begin,
                             int steps) {
    int channel[Tile::kBlocks], offset_w[Tile::kBlocks], offset_h[Tile::kBlocks];
    UNROLL
    for (int j = 0; j < Tile::kBlocks; ++j) {
        const ChannelBlock block(g, first_block + j);
        channel[j] = block.channel;
        offset_w[j] = block.tap % g.s;
        offset_h[j] = block.tap / g.s;
    }
    PixelCounter at(g.p, g.q, begin, Tile::kStepPixels);
    int pixel = begin;
    ring.fill(steps, [&](int, unsigned char* stage, Mbarrier* full) {
        const int w = at.q * g.stride - g.pad, h = at.p * g.stride - g.pad;
        UNROLL
        for (int j = 0; j < Tile::kPanels; ++j)
            tensor_load_3d(stage + (Tile::kBlocks + j) * Tile::kPanelBytes, dy, first_filter + j * kChunk, 0, pixel,
                           full);
        UNROLL
        for (int j = 0; j < Tile::kBlocks; ++j)
            tensor_load_im2col(stage + j * Tile::kPanelBytes, x, channel[j], w, h, at.n, offset_w[j], offset_h[j],
                               full);
        at.advance();
        pixel += Tile::kStepPixels;
    });
}

// `out`: dw where the sum is not split, else partial sums [part][K][RSC].
template <class Tile>
__global__ void __launch_bounds__(kRingThreads, 1) wgmma_filter_kernel(const __grid_constant__ TensorMap x,
                                                                       const __grid_constant__ TensorMap dy,
                                                                       const __grid_constant__ ConvSizes g,
                                                                       float* out,
                                                                       Write write,
                                                                       Split split) {
    constexpr int kPixels = Tile::kStepPixels;
    DYN_SHARED(typename Tile::Stages, ring);
    if (thread_index() == 0) {
        prefetch_map(x);
        prefetch_map(dy);
        ring->init();
    }
    block_sync();
    const int first_block = int(blockIdx.x) * Tile::kBlocks;
    const int first_filter = int(blockIdx.y) * Tile::kFilters;
    const int begin = int(blockIdx.z) * int(split.part);
    const int pixels = min(int(split.part), int(split.length) - begin);
    const int steps = (pixels + kPixels - 1) / kPixels;
    const int warpgroup = warpgroup_index();
    if (warpgroup == 0) {
        if (warp_index() == 0 && elect_one())
            bring_filter<Tile>(*ring, x, dy, g, first_block, first_filter, begin, steps);
        return;
    }

    const int consumer = warpgroup - 1;
    typename Tile::Sums sums;
    ring->template drain<kPixels / kProductDepth>(0, steps, [&](const unsigned char* stage, int k, bool add) {
        const unsigned char* rows = stage + k * kProductDepth * kRowBytes;
        UNROLL
        for (int m = 0; m < Tile::kProducts; ++m) {
            const int block = Tile::first_row(consumer, m) / kChunk;
            wgmma_bf16<Tile::kFilters, Operand::columns, Operand::columns>(
                sums[m], column_descriptor(rows + block * Tile::kPanelBytes, Tile::kPanelBytes),
                column_descriptor(rows + Tile::kBlocks * Tile::kPanelBytes, Tile::kPanelBytes), add);
        }
    });

    UNROLL
    for (int m = 0; m < Tile::kProducts; ++m) wgmma_settled(sums[m]);
    // The order of wgmma's accumulators: two adjacent filters, the same 8 channels further on, then the next 8 filters.
    const int filter = first_filter + lane_index() % 4 * 2;
    const int line = warp_index() % kGroupWarps * kWarpRows + lane_index() / 4;
    float* part = out + (int64_t(blockIdx.z) * g.k + filter) * g.taps_c();
    UNROLL
    for (int m = 0; m < Tile::kProducts; ++m) {
        const ChannelBlock block(g, first_block + Tile::first_row(consumer, m) / kChunk);
        const int channel = block.channel + line;
        float* to = part + block.tap * g.c + channel;
        UNROLL
        for (int i = 0; i < Tile::kFilters / 2; ++i) {
            const int right = i % 2, down = i / 2 % 2 * 8;
            if (channel + down < g.c && filter + i / 4 * 8 + right < g.k)
                store_sum(to + right * g.taps_c() + down, sums[m][i], write);
            if (i % 4 == 3) to += 8 * g.taps_c();
        }
    }
}

}  // namespace fp::FP_MACHINE
