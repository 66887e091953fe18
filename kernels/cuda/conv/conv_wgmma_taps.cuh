// The gradient of the filters of a 3x3 window with padding 1, at stride 1 or 2, in bf16 on Hopper's warpgroup matrix
// instructions (wgmma): one block computes all nine taps, so that x and dy are read from L2 once per block instead of
// once per tap. There are two kernels.
//
//   dw[k,r,s,c] = sum_npq dy[n,p,q,k] x[n,h,w,c]      h = p stride + r - 1, w alike
//
// Shapes    x (N,H,W,C)  dy (N,P,Q,K), both bf16, C a multiple of 8   dw (K,3,3,C) float32
// Taps      (wgmma_taps_kernel) The sum runs over padded maps of (P+1)(Q+1) pixels, in which the last row and column of
//           dy are zeros. x, with its padding, is then one sequence of rows of 64 channels, in which a tap is an offset
//           of r (Q+1) + s rows: the padding to the right of a row is also that to the left of the next row, and the
//           padding below a map is that above the next map. At stride 2 there are four such sequences, for even and odd
//           rows and columns; each tap lies in one of them, at an offset of at most Q+2. im2col copies load both
//           operands, in panels of 64 rows, with zeros outside the maps.
// Rows      (wgmma_window_rows_kernel, stride 1) The same over padded maps of P (Q+1) pixels: x is loaded three times,
//           once for each row of the window, and a tap is an offset of s rows. This adds less padding to narrow maps.
// GEMM      M = 64 filters, N = 9 taps x 64 channels. The sum over pixels is split over thread blocks (grid z); the
//           partial sums are added in order (parts.cu), so that every run gives the same bits.
// Threads   416: three consumer warpgroups, each for the three taps of one row of the window, and a producer warp, one
//           lane of which starts the copies
// Pipeline  Four stages hold panels of dy. The Taps kernel keeps the panels of x in a second ring, which runs ahead of
//           dy's by as many panels as the last tap reaches forward. The end of step i frees panel i of x. A copy of the
//           ring's first panel follows its last one, so that 16 consecutive rows are contiguous wherever they begin.
// Operands  Both are MN-major. The three taps of a warpgroup are one product of 192 columns (at stride 2 one of 128 and
//           one of 64): each next 64 columns begin one row (128 bytes) further on. Products may start at any row,
//           because the swizzle depends on the address. (A probe confirmed both on an H200. One product per tap took 93
//           us where one for three takes 90.)
// Epilogue  from registers: four lanes write eight consecutive channels, 32 bytes
// Traffic   a block loads 16 KiB (stride 2: 40) for 64 x 576 x 64 multiply-adds, 1152 cycles: 14 (36) bytes per clock.
//           HBM traffic is bytes(2), with dw in float32, and the partial sums, which cost 8 bytes per weight and part.
// Bound     compute; padding adds (P+1)(Q+1) / (PQ) - 1 to it: 4 % at 56, 7 % at 28, 15 % at 14
// H200      batch 256, with the addition of the parts, microseconds: Taps 64 channels at 56x56 90, 128 at 28x28 89,
//           64>128 at 56x56 and stride 2 61; Rows 256 at 14x14 89, 512 at 7x7 94
// Needs     sm_90a. Taps: Q up to 254, at stride 2 up to 62
#pragma once

#include "kernels/cuda/conv/conv.cuh"
#include "kernels/cuda/conv/pixel_counter.cuh"
#include "kernels/cuda/plan/conv_plan.h"
#include "kernels/cuda/products/wgmma_ring.cuh"
#include "kernels/cuda/walks/pack.cuh"

namespace fp::FP_MACHINE {

// The descriptor moved forward by `rows` rows of 128 bytes. Only its lower 32 bits change.
__device__ inline uint64_t rows_on(uint64_t descriptor, int rows) {
    return (descriptor & ~uint64_t(0xffffffff)) | (uint32_t(descriptor) + uint32_t(rows) * (kRowBytes >> 4));
}

// A warpgroup's accumulators: 64 filters x 64 channels of three taps. `at(s)` returns the descriptor of the 16 rows of
// x that tap s reads; in it the next 64 columns begin one row further on.
template <int kStride>
struct TapSums;
template <>
struct TapSums<1> {
    float all[3 * kChunk / 2];

    template <class At>
    __device__ void multiply(uint64_t filters, At at, bool add) {
        wgmma_bf16<3 * kChunk, Operand::columns, Operand::columns>(all, filters, at(0), add);
    }
    __device__ void settled() { wgmma_settled(all); }
    __device__ float value(int s, int i) const { return all[s * (kChunk / 2) + i]; }
};
template <>
struct TapSums<2> {
    float outer[2 * kChunk / 2], inner[kChunk / 2];  // taps 0 and 2, which are one row apart; tap 1

    template <class At>
    __device__ void multiply(uint64_t filters, At at, bool add) {
        wgmma_bf16<2 * kChunk, Operand::columns, Operand::columns>(outer, filters, at(0), add);
        wgmma_bf16<kChunk, Operand::columns, Operand::columns>(inner, filters, at(1), add);
    }
    __device__ void settled() {
        wgmma_settled(outer);
        wgmma_settled(inner);
    }
    __device__ float value(int s, int i) const { return s == 1 ? inner[i] : outer[s / 2 * (kChunk / 2) + i]; }
};

template <int kStride_>
struct TapTile {
    static constexpr int kStride = kStride_, kSequences = kStride * kStride;
    static constexpr int kPanelPixels = 64, kPanelBytes = kPanelPixels * kRowBytes;
    static constexpr int kRing = kStages + most_taps_lead(kStride);  // panels
    static constexpr int kThreads = 3 * kWarpgroup + kWarp;
    using Sums = TapSums<kStride>;

    struct Shared {
        unsigned char x[kSequences][kRing + 1][kPanelBytes];
        unsigned char dy[kStages][kPanelBytes];
        Mbarrier full[kStages], empty[kStages];
    };
    struct Maps {
        TensorMap x[kSequences], dy;
    };

    // For tap 0, 1 or 2 along one axis: the sequence that it reads, and its offset there.
    __host__ __device__ static constexpr int parity(int tap) {
        return kStride == 1 ? 0 : tap % 2;  // sequence 1 has the even rows (or columns), which tap 1 reads
    }
    __host__ __device__ static constexpr int shift(int tap) { return kStride == 1 ? tap : tap / 2; }
};

// The row or column of x at which a sequence begins. The sequences of taps 0 and 2 begin in the padding.
template <class Tile>
__host__ __device__ constexpr int sequence_begin(int parity) {
    return Tile::kStride == 2 && parity == 1 ? 0 : -1;
}

template <class Shared>
__device__ void init_taps(Shared& shared) {
    for (int i = 0; i < kStages; ++i) {
        mbarrier_init(&shared.full[i], 1);
        mbarrier_init(&shared.empty[i], 3 * kGroupWarps);  // one lane per consumer warp arrives
    }
    mbarrier_init_fence();
}

// The order of wgmma's accumulators: two adjacent channels, the same 8 filters further on, then the next 8 channels.
template <class Sums>
__device__ void store_taps(
    const Sums& sums, const ConvSizes& g, int r, int first_channel, int first_filter, float* out) {
    const int filter = first_filter + warp_index() % kGroupWarps * kWarpRows + lane_index() / 4;
    const int channel = first_channel + lane_index() % 4 * 2;
    UNROLL
    for (int down = 0; down < 2; ++down) {
        if (filter + down * 8 >= g.k) continue;
        float* line = out + (int64_t(blockIdx.z) * g.k + filter + down * 8) * g.taps_c() + r * 3 * g.c + channel;
        UNROLL
        for (int s = 0; s < 3; ++s) UNROLL
        for (int j = 0; j < kChunk / 8; ++j)
            if (channel + j * 8 < g.c)
                stg(reinterpret_cast<float2*>(line + s * g.c + j * 8),
                    float2{sums.value(s, j * 4 + down * 2), sums.value(s, j * 4 + down * 2 + 1)});
    }
}

template <class Tile>
__device__ void bring_taps(typename Tile::Shared& shared,
                           const typename Tile::Maps& maps,
                           const ConvSizes& g,
                           int first_channel,
                           int first_filter,
                           int begin,
                           int steps) {
    constexpr int kPixels = Tile::kPanelPixels;
    const int lead = taps_lead(Tile::kStride, g.q);
    PixelCounter of_x(g.p + 1, g.q + 1, begin, kPixels), of_dy = of_x;
    int slot = 0;
    for (int i = 0; i < steps; ++i) {
        const int at = i % kStages, round = i / kStages;
        if (round > 0) mbarrier_wait(&shared.empty[at], (round - 1) % 2);
        Mbarrier* full = &shared.full[at];
        const int panels = i == 0 ? lead + 1 : 1;
        const bool once_more = i > 0 && slot == 0;
        mbarrier_arrive_expect(full, (1 + Tile::kSequences * (panels + int(once_more))) * Tile::kPanelBytes);
        tensor_load_im2col(shared.dy[at], maps.dy, first_filter, of_dy.q, of_dy.p, of_dy.n, 0, 0, full);
        of_dy.advance();
        for (int panel = 0; panel < panels; ++panel) {
            UNROLL
            for (int j = 0; j < Tile::kSequences; ++j) {
                const int w = sequence_begin<Tile>(j % 2) + of_x.q * Tile::kStride;
                const int h = sequence_begin<Tile>(j / 2) + of_x.p * Tile::kStride;
                tensor_load_im2col(shared.x[j][slot], maps.x[j], first_channel, w, h, of_x.n, 0, 0, full);
                if (once_more)
                    tensor_load_im2col(shared.x[j][Tile::kRing], maps.x[j], first_channel, w, h, of_x.n, 0, 0, full);
            }
            of_x.advance();
            if (++slot == Tile::kRing) slot = 0;
        }
    }
}

// `out`: partial sums [part][K][9][C]; dw itself where the sum is not split and dw is replaced.
template <class Tile>
__global__ void __launch_bounds__(Tile::kThreads, 1) wgmma_taps_kernel(const __grid_constant__ typename Tile::Maps maps,
                                                                       const __grid_constant__ ConvSizes g,
                                                                       float* out,
                                                                       Split split) {
    constexpr int kRingRows = Tile::kRing * Tile::kPanelPixels;
    DYN_SHARED(typename Tile::Shared, memory);
    auto& shared = *memory;
    if (thread_index() == 0) {
        prefetch_map(maps.dy);
        for (int i = 0; i < Tile::kSequences; ++i) prefetch_map(maps.x[i]);
        init_taps(shared);
    }
    block_sync();
    const int first_channel = int(blockIdx.x) * kChunk, first_filter = int(blockIdx.y) * kChunk;
    const int begin = int(blockIdx.z) * int(split.part);
    const int steps = min(int(split.part), int(split.length) - begin) / Tile::kPanelPixels;
    const int r = warpgroup_index();
    if (r == 3) {
        if (elect_one()) bring_taps<Tile>(shared, maps, g, first_channel, first_filter, begin, steps);
        return;
    }

    typename Tile::Sums sums;
    uint64_t x[2];  // descriptors of the sequences for columns 0 and 2, and (stride 2) for column 1
    UNROLL
    for (int i = 0; i < 2; ++i)
        x[i] = column_descriptor(shared.x[Tile::kSequences == 1 ? 0 : Tile::parity(r) * 2 + i][0], kRowBytes);
    const uint64_t filters = column_descriptor(shared.dy[0], Tile::kPanelBytes);
    int row = Tile::shift(r) * (g.q + 1);
    for (int i = 0; i < steps; ++i) {
        mbarrier_wait(&shared.full[i % kStages], i / kStages % 2);
        wgmma_fence();
        UNROLL
        for (int k = 0; k < Tile::kPanelPixels / kProductDepth; ++k) {
            const auto at = [&](int s) { return rows_on(x[Tile::parity(s)], row + Tile::shift(s)); };
            sums.multiply(rows_on(filters, i % kStages * Tile::kPanelPixels + k * kProductDepth), at, i > 0 || k > 0);
            row += kProductDepth;
            row = row >= kRingRows ? row - kRingRows : row;
        }
        wgmma_commit();
        wgmma_wait<1>();
        if (i > 0 && lane_index() == 0) mbarrier_arrive(&shared.empty[(i - 1) % kStages]);
    }
    wgmma_wait<0>();
    sums.settled();

    store_taps(sums, g, r, first_channel, first_filter, out);
}

// ---- at stride 1, with x loaded once for each row of the window

struct RowTile {
    static constexpr int kPanelPixels = 64;
    static constexpr int kPixels = kPanelPixels + 2;   // of x: tap 2 reads two further
    static constexpr int kRowsBytes = 72 * kRowBytes;  // memory for them, in whole groups of eight rows
    static constexpr int kFilterBytes = kPanelPixels * kRowBytes;
    static constexpr int kBytes = 3 * kPixels * kRowBytes + kFilterBytes;  // loaded per stage
    static constexpr int kThreads = 3 * kWarpgroup + kWarp;
    using Sums = TapSums<1>;

    struct Shared {
        struct Stage {
            unsigned char x[3][kRowsBytes], dy[kFilterBytes];
        } stage[kStages];
        Mbarrier full[kStages], empty[kStages];
    };
};

__global__ void __launch_bounds__(RowTile::kThreads, 1) wgmma_window_rows_kernel(const __grid_constant__ TensorMap x,
                                                                                 const __grid_constant__ TensorMap dy,
                                                                                 const __grid_constant__ ConvSizes g,
                                                                                 float* out,
                                                                                 Split split) {
    constexpr int kPixels = RowTile::kPanelPixels;
    DYN_SHARED(RowTile::Shared, memory);
    auto& shared = *memory;
    if (thread_index() == 0) {
        prefetch_map(x);
        prefetch_map(dy);
        init_taps(shared);
    }
    block_sync();
    const int first_channel = int(blockIdx.x) * kChunk, first_filter = int(blockIdx.y) * kChunk;
    const int begin = int(blockIdx.z) * int(split.part);
    const int steps = min(int(split.part), int(split.length) - begin) / kPixels;
    const int r = warpgroup_index();
    if (r == 3) {
        if (!elect_one()) return;
        PixelCounter at(g.p, g.q + 1, begin, kPixels);
        for (int i = 0; i < steps; ++i) {
            const int slot = i % kStages, round = i / kStages;
            if (round > 0) mbarrier_wait(&shared.empty[slot], (round - 1) % 2);
            Mbarrier* full = &shared.full[slot];
            mbarrier_arrive_expect(full, RowTile::kBytes);
            auto& stage = shared.stage[slot];
            tensor_load_im2col(stage.dy, dy, first_filter, at.q, at.p, at.n, 0, 0, full);
            UNROLL
            for (int row = 0; row < 3; ++row)
                tensor_load_im2col(stage.x[row], x, first_channel, at.q - 1, at.p - 1, at.n, 0, row, full);
            at.advance();
        }
        return;
    }

    RowTile::Sums sums;
    const uint64_t rows = column_descriptor(shared.stage[0].x[0] + r * RowTile::kRowsBytes, kRowBytes);
    const uint64_t filters = column_descriptor(shared.stage[0].dy, RowTile::kFilterBytes);
    constexpr int kStageRows = int(sizeof(RowTile::Shared::Stage)) / kRowBytes;
    for (int i = 0; i < steps; ++i) {
        mbarrier_wait(&shared.full[i % kStages], i / kStages % 2);
        wgmma_fence();
        UNROLL
        for (int k = 0; k < kPixels / kProductDepth; ++k) {
            const int row = i % kStages * kStageRows + k * kProductDepth;
            sums.multiply(
                rows_on(filters, row), [&](int s) { return rows_on(rows, row + s); }, i > 0 || k > 0);
        }
        wgmma_commit();
        wgmma_wait<1>();
        if (i > 0 && lane_index() == 0) mbarrier_arrive(&shared.empty[(i - 1) % kStages]);
    }
    wgmma_wait<0>();
    sums.settled();
    store_taps(sums, g, r, first_channel, first_filter, out);
}

}  // namespace fp::FP_MACHINE
