// The gradient of the input of a convolution at stride 2, in bf16 on Hopper's warpgroup matrix instructions (wgmma).
//
//   dx[n,h,w,c] (+)= sum_rsk w[k,r,s,c] dy[n,p,q,k]      over the taps with p stride + r - pad = h, w alike
//
// The pixels of dx fall into four classes, by the parity of h and of w. Each class is reached by its own subset of the
// taps (for a 3x3 with padding 1: one, two, two and four of nine). Within a class the gradient is a convolution of dy
// at stride 1 whose outputs are every other row and column of dx. One launch computes all classes: nine taps in total,
// where zeros inserted into dy would cost nine for each pixel of dx, four times as many.
//
// Shapes    dx (N,H,W,C)  w (K,R,S,C)  dy (N,P,Q,K), all bf16, C and the stored K multiples of 8; sums in float32
// GEMM      M = pixels of a class, N = C, the sum over the class's taps and chunks of 64 of K; tiles of 128x64, 128x128
//           or 256x128 pixels x channels
// Operands  dy by im2col copies, with one tensor map per class; the filters as stored, each k a row of 64 channels
//           (MN-major). Elements outside of either are loaded as zeros.
// Threads   288: two consumer warpgroups that multiply half of the pixels each, and a producer warp, one lane of which
//           starts the copies. Tiles of 128 pixels leave room for a second block on the multiprocessor (with 64
//           channels a third), which multiplies while this one stores.
// Schedule  Blocks for the same pixels of all classes and channels have consecutive numbers, so that dy is read from
//           HBM once.
// Epilogue  in the memory of the ring, after both warpgroups have finished with it. Where dx is added to, its old
//           values are loaded there and read as fragments; the result is stored from there in whole rows. In a 1x1 only
//           one class has a tap; its blocks also write zeros to the neighbouring pixels to the right and below, or
//           leave those alone where dx is added to.
// Traffic   from L2 a block reads dy's pixels once per tap and its filters once; HBM traffic is bytes(2)
// Bound     compute for 3x3, memory for 1x1
// H200      batch 256, microseconds: 3x3 64>128 at 56x56 95 (two resident blocks of 128x64: 110, of 256x64: 103), 128
//           at 56x56 155 (256x128: 188), 512 at 14x14 113; 1x1 256>512 at 56x56 187. On mma.sync: 232, 355, 255, 404.
// Needs     sm_90a; 3x3 with padding 1, or 1x1
#pragma once

#include "kernels/cuda/conv/conv.cuh"
#include "kernels/cuda/conv/conv_wgmma.cuh"
#include "kernels/cuda/products/wgmma_ring.cuh"
#include "kernels/cuda/walks/pack.cuh"

namespace fp::FP_MACHINE {

template <int kPixels_, int kOutputs_, int kDeep_, int kResident_>
struct StridedTile : ConsumerTile<kPixels_, kOutputs_> {
    static constexpr int kPixels = kPixels_, kOutputs = kOutputs_;
    static constexpr int kDeep = kDeep_;          // stages
    static constexpr int kResident = kResident_;  // blocks per multiprocessor
    static constexpr int kThreads = kConsumers * kWarpgroup + kWarp;
    static constexpr int kPixelBytes = kPixels * kRowBytes;
    static constexpr int kPanels = kOutputs / kChunk, kPanelBytes = kChunk * kRowBytes;
    static constexpr int kStageBytes = kPixelBytes + kPanels * kPanelBytes;
    static constexpr int kRow = kOutputs + 8;  // row pitch of the result; 8 of padding against bank conflicts

    struct Shared {
        unsigned char stage[kDeep][kStageBytes];
        Mbarrier full[kDeep], empty[kDeep];
    };
    static_assert(kPixels * kRow * sizeof(bf16) <= size_t(kDeep) * kStageBytes);
};

// The classes that have taps, the one with the most taps first.
struct StridedClasses {
    struct Class {
        ParityClass of;
        int begin_w, begin_h;  // the column and row of dy that the class's first pixel reads at its last tap
    };
    static constexpr int kMost = 4;
    int count;
    bool fill;  // the first class also writes zeros to the pixels of the classes without taps
    Class at[kMost];
};
struct StridedMaps {
    TensorMap pixels[StridedClasses::kMost], filters;
};

template <class Tile>
__device__ void bring_strided(typename Tile::Shared& shared,
                              const TensorMap& pixels,
                              const TensorMap& filters,
                              const ConvSizes& g,
                              const StridedClasses::Class& c,
                              int first_pixel,
                              int first_output) {
    const ParityClass& of = c.of;
    const int n = first_pixel / (of.rows * of.columns);
    const int h = c.begin_h + first_pixel / of.columns % of.rows;
    const int w = c.begin_w + first_pixel % of.columns;
    int i = 0, parity = 1;
    for (int r = 0; r < of.taps_r; ++r)
        for (int s = 0; s < of.taps_s; ++s) {
            const int tap = (of.first_r + r * g.stride) * g.s + of.first_s + s * g.stride;
            for (int channel = 0; channel < g.y_c; channel += kChunk) {
                // The first round does not wait: the phase before the first counts as complete.
                mbarrier_wait(&shared.empty[i], parity);
                Mbarrier* full = &shared.full[i];
                mbarrier_arrive_expect(full, Tile::kStageBytes);
                tensor_load_im2col(shared.stage[i], pixels, channel, w, h, n, of.taps_s - 1 - s, of.taps_r - 1 - r,
                                   full);
                UNROLL
                for (int j = 0; j < Tile::kPanels; ++j)
                    tensor_load_3d(shared.stage[i] + Tile::kPixelBytes + j * Tile::kPanelBytes, filters,
                                   first_output + j * kChunk, tap, channel, full);
                if (++i == Tile::kDeep) i = 0, parity ^= 1;
            }
        }
}

template <class Tile>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kResident)
    wgmma_strided_kernel(const __grid_constant__ StridedMaps maps,
                         const __grid_constant__ ConvSizes g,
                         const __grid_constant__ StridedClasses classes,
                         bf16* dx,
                         Write write) {
    constexpr int kOutputs = Tile::kOutputs, kDeep = Tile::kDeep;
    DYN_SHARED(typename Tile::Shared, memory);
    auto& shared = *memory;
    const int across = (g.c + kOutputs - 1) / kOutputs;
    const int number = int(blockIdx.x) / across;
    const int first_output = int(blockIdx.x) % across * kOutputs;
    const int which = number % classes.count;
    const int first_pixel = number / classes.count * Tile::kPixels;
    const ParityClass& of = classes.at[which].of;
    const int pixels = g.n * of.rows * of.columns;
    if (first_pixel >= pixels) return;  // classes differ in size; the whole block leaves
    if (thread_index() == 0) {
        prefetch_map(maps.pixels[which]);
        prefetch_map(maps.filters);
        for (int i = 0; i < kDeep; ++i) {
            mbarrier_init(&shared.full[i], 1);
            mbarrier_init(&shared.empty[i], kConsumers * kGroupWarps);
        }
        mbarrier_init_fence();
    }
    block_sync();
    const int consumer = warpgroup_index();
    if (consumer == kConsumers) {
        if (elect_one())
            bring_strided<Tile>(shared, maps.pixels[which], maps.filters, g, classes.at[which], first_pixel,
                                first_output);
        return;
    }

    typename Tile::Sums sums;
    const int steps = of.taps_r * of.taps_s * ((g.y_c + kChunk - 1) / kChunk);
    int at = 0, before = 0, parity = 0;
    for (int i = 0; i < steps; ++i) {
        mbarrier_wait(&shared.full[at], parity);
        wgmma_fence();
        const unsigned char* stage = shared.stage[at];
        UNROLL
        for (int k = 0; k < kChunk / kProductDepth; ++k) UNROLL
        for (int m = 0; m < Tile::kProducts; ++m)
            wgmma_bf16<kOutputs, Operand::rows, Operand::columns>(
                sums[m],
                row_descriptor(stage + Tile::first_row(consumer, m) * kRowBytes +
                               k * kProductDepth * int(sizeof(bf16))),
                column_descriptor(stage + Tile::kPixelBytes + k * kProductDepth * kRowBytes, Tile::kPanelBytes),
                i > 0 || k > 0);
        wgmma_commit();
        wgmma_wait<1>();
        if (i > 0 && lane_index() == 0) mbarrier_arrive(&shared.empty[before]);
        before = at;
        if (++at == kDeep) at = 0, parity ^= 1;
    }
    wgmma_wait<0>();
    UNROLL
    for (int m = 0; m < Tile::kProducts; ++m) wgmma_settled(sums[m]);
    named_sync(1, kConsumers * kWarpgroup);  // no product reads the ring any more and no copy writes to it

    auto* result = reinterpret_cast<bf16(*)[Tile::kRow]>(shared.stage);
    const int lane = lane_index();
    constexpr int kPieces = kOutputs / 8;
    const bool add = write == Write::add, fill = classes.fill && !add;
    UNROLL
    for (int m = 0; m < Tile::kProducts; ++m) {
        const int first_row = Tile::first_row(consumer, m) + warp_index() % kGroupWarps * kWarpRows;
        auto* rows = result + first_row;
        // Where the 16 rows are stored: lane l holds for row l % 16 the pixel in dx, -1 where there is none, and
        // whether pixels to the right (bit 0) and below (bit 1) exist.
        int place = -1, neighbours = 0;
        const int pixel = first_pixel + first_row + lane % kWarpRows;
        if (pixel < pixels) {
            const int line = pixel / of.columns;
            const int w = pixel % of.columns * g.stride + of.column_class;
            const int h = line % of.rows * g.stride + of.row_class;
            place = (line / of.rows * g.h + h) * g.w + w;
            neighbours = int(w + 1 < g.w) + 2 * int(h + 1 < g.h);
        }
        // Calls body(row, column, offset in dx, neighbours) for this lane's pieces of 8 channels that exist.
        const auto for_pieces = [&](auto body) {
            UNROLL
            for (int i = 0; i < kWarpRows * kPieces / kWarp; ++i) {
                const int piece = i * kWarp + lane;
                const int row = piece / kPieces, column = piece % kPieces * 8;
                const int at_pixel = shuffle(place, row), beside = shuffle(neighbours, row);
                if (at_pixel >= 0 && first_output + column < g.c)
                    body(row, column, int64_t(at_pixel) * g.c + first_output + column, beside);
            }
        };
        if (add) {
            for_pieces([&](int row, int column, int64_t to, int) { cp_async16(&rows[row][column], dx + to); });
            cp_async_commit();
            cp_async_wait<0>();
            warp_sync();
        }
        UNROLL
        for (int j = 0; j < kOutputs / 16; ++j) {
            bf16* fragment = &rows[lane % 16][j * 16 + lane / 16 * 8];
            uint32_t pairs[4] = {};  // rows 0-7 and 8-15 of columns 0-7, then of 8-15
            if (add) ldmatrix_x4(pairs, fragment);
            UNROLL
            for (int i = 0; i < 4; ++i) {
                const float2 v = halves(pairs[i]);
                pairs[i] = pack_bf16(sums[m][j * 8 + i * 2] + v.x, sums[m][j * 8 + i * 2 + 1] + v.y);
            }
            stmatrix_x4(fragment, pairs);
        }
        warp_sync();
        const int64_t down = int64_t(g.w) * g.c;
        for_pieces([&](int row, int column, int64_t to, int beside) {
            const auto put = [&](int64_t at_, uint4 v) { stg(reinterpret_cast<uint4*>(dx + at_), v); };
            put(to, *reinterpret_cast<const uint4*>(&rows[row][column]));
            if (!fill) return;
            if (beside & 1) put(to + g.c, {});
            if (beside & 2) put(to + down, {});
            if (beside == 3) put(to + down + g.c, {});
        });
    }
}

}  // namespace fp::FP_MACHINE
