// Convolution in bf16 on Hopper for few pixels (small batches): the forward pass for inference, with the sum of a tile
// split over the blocks of a cluster. A tile of few pixels leaves most of the GPU idle and is bounded by the latency of
// its steps, one after the other; the parts of its sum run at the same time.
//
//   y[n,p,q,k]  = act(bias[k] + residual[n,p,q,k] + sum_rsc w[k,r,s,c] x[n,h,w,c])
//                 h = p stride + r - pad, w alike
//
// Shapes    x (N,H,W,C)  w (K,R,S,C)  y (N,P,Q,K), all bf16, C a multiple of 8; sums in float32
// GEMM      that of conv_wgmma.cuh in tiles of 64 pixels x 32 or 64 outputs, and in its steps: a tap and a chunk of 64
//           channels, a partial chunk with zeros behind it. Part i of n has the steps from i / n to (i + 1) / n of all.
// Threads   160: a consumer warpgroup, and a producer warp of which one thread works. A cluster is the n blocks of one
//           tile (split_parts.cpp: 1, 2, 4 or 8), n the fastest part of blockIdx.x.
// Join      Each block leaves its float32 sums in its own shared memory. Behind the cluster's barrier each finishes its
//           n-th of the tile, in pieces of 4 outputs: it adds the n parts from distributed shared memory in the order of
//           the sum, whichever block came first, then bias and residual, and stores y. So bits do not depend on timing,
//           and no scratch memory, no counter and no second kernel are needed.
// Start     early (Grid::early): the filters of the first stages are on their way before the kernels in front are
//           complete; pixels, residual and y are touched only behind wait_for_kernels_in_front(). Two blocks fit a
//           multiprocessor, so that the next convolution's blocks find room beside this one's.
// Traffic   from L2 a tile's pixels once per tap and tile of outputs, its filters once per tile of pixels, whatever n;
//           between multiprocessors 4 bytes per output and part; HBM traffic is bytes(2)
// Bound     latency: of the launch, the first copies, the ring's and the cluster's barriers; from about 8 images on L2,
//           since a tile of 64 pixels has little reuse. By the model (cost.cpp), at batch 1: 3x3 of 64 channels at 56x56
//           3.0 us, of 512 at 7x7 4.0 us, where a block per tile (conv_wgmma.cuh) took 7.5 and 33 on an H200. Expected,
//           not measured.
// Needs     sm_90a; what conv_wgmma.cuh needs; no moments
#pragma once

#include "kernels/cuda/conv/conv_wgmma.cuh"
#include "kernels/cuda/plan/conv_plan.h"

namespace fp::FP_MACHINE {

constexpr int kSplitThreads = kWarpgroup + kWarp, kSplitPixels = kProductRows;

template <int kOutputs_>
struct SplitTile {
    static constexpr int kOutputs = kOutputs_;
    using Filters = FilterRows<kOutputs>;
    static constexpr int kPixelBytes = kSplitPixels * kRowBytes;
    static constexpr int kStages = split_stages({kSplitPixels, kOutputs});
    static constexpr int kRow = kOutputs + 8;  // row pitch of the sums; 8 of padding against bank conflicts
    static constexpr int kAcross = kOutputs / 4, kPieces = kSplitPixels * kAcross;  // of 4 outputs
    using Stages = StageRing<kPixelBytes + Filters::kBytes, kStages, 1>;
    struct Shared {
        Stages ring;
        alignas(16) float sums[kSplitPixels][kRow];
        uint2 residual[kPieces];
    };
    static_assert(2 * (sizeof(Shared) + 1024) <= 228 * 1024, "two blocks per multiprocessor");
};

// Counts the steps of a convolution in the order of Steps: division once, at the first.
struct StepWalk {
    const Steps& steps;
    int s_count, step, tap, r, s, chunk;

    __device__ StepWalk(const Steps& of, const ConvSizes& g, int first) : steps(of), s_count(g.s), step(first) {
        const bool partial = first >= of.whole();
        tap = partial ? first - of.whole() : first / of.whole_chunks;
        chunk = partial ? of.whole_chunks : first % of.whole_chunks;
        r = tap / s_count;
        s = tap % s_count;
    }
    __device__ void next() {
        ++step;
        if (step == steps.whole()) {  // the partial chunks follow, from the first tap on
            tap = r = s = 0;
            chunk = steps.whole_chunks;
        } else if (step > steps.whole() || ++chunk == steps.whole_chunks) {
            if (step < steps.whole()) chunk = 0;
            ++tap;
            if (++s == s_count) s = 0, ++r;
        }
    }
};

// The producer of the steps [first, end).
template <class Tile>
__device__ void bring_part(typename Tile::Stages& ring,
                           const TensorMap& pixels,
                           const TensorMap& filters,
                           const ConvSizes& g,
                           int first_pixel,
                           int first_output,
                           int first,
                           int end) {
    const Steps steps(g);
    const auto bring_filters = [&](const StepWalk& at, int i) {
        mbarrier_arrive_expect(&ring.full[i % Tile::kStages], Tile::kPixelBytes + Tile::Filters::kBytes);
        Tile::Filters::bring(ring.stage[i % Tile::kStages] + Tile::kPixelBytes, filters, g, at.tap, at.chunk * kChunk,
                             first_output, &ring.full[i % Tile::kStages]);
    };
    StepWalk early(steps, g, first);
    const int count = end - first, at_once = min(count, Tile::kStages);
    for (int i = 0; i < at_once; ++i, early.next()) bring_filters(early, i);
    wait_for_kernels_in_front();

    const PixelPlace from(g, first_pixel);
    const int w = from.q * g.stride - g.pad, h = from.p * g.stride - g.pad;
    StepWalk at(steps, g, first);
    for (int i = 0; i < count; ++i, at.next()) {
        if (i >= at_once) {
            ring.reuse(i);
            bring_filters(at, i);
        }
        tensor_load_im2col(ring.stage[i % Tile::kStages], pixels, at.chunk * kChunk, w, h, from.n, at.s, at.r,
                           &ring.full[i % Tile::kStages]);
    }
}

// The consumers' products of the steps [first, end), stored as the block's sums.
template <class Tile>
__device__ void multiply_part(typename Tile::Shared& shared, int steps) {
    float sums[Tile::kOutputs / 2];
    shared.ring.template drain<kChunk / kProductDepth>(0, steps, [&](const unsigned char* stage, int k, bool add) {
        wgmma_bf16<Tile::kOutputs, Operand::rows, Operand::rows>(
            sums, row_descriptor(stage + k * kProductDepth * int(sizeof(bf16))),
            Tile::Filters::descriptor(stage + Tile::kPixelBytes, k), add);
    });
    wgmma_settled(sums);
    const int row = warp_index() * kWarpRows + lane_index() / 4, column = lane_index() % 4 * 2;
    UNROLL
    for (int j = 0; j < Tile::kOutputs / 8; ++j) {
        *reinterpret_cast<float2*>(&shared.sums[row][j * 8 + column]) = float2{sums[4 * j], sums[4 * j + 1]};
        *reinterpret_cast<float2*>(&shared.sums[row + 8][j * 8 + column]) = float2{sums[4 * j + 2], sums[4 * j + 3]};
    }
}

// This block's share of the tile's pieces. A thread has every kWarpgroup-th of them, all of the same outputs.
template <class Tile>
struct SplitPieces {
    const ConvSizes& g;
    int first_pixel, first_output, first, end;

    __device__ SplitPieces(const ConvSizes& g_, int first_pixel_, int first_output_, int rank, int parts)
        : g(g_),
          first_pixel(first_pixel_),
          first_output(first_output_),
          first(Tile::kPieces * rank / parts + thread_index()),
          end(Tile::kPieces * (rank + 1) / parts) {}
    __device__ int column() const { return first % Tile::kAcross * 4; }

    // Calls body(piece, its row, offset in y) for the thread's pieces that exist.
    template <class Body>
    __device__ void for_each(Body body) const {
        if (first_output + column() >= g.y_c) return;
        for (int piece = first; piece < end; piece += kWarpgroup) {
            const int row = piece / Tile::kAcross, pixel = first_pixel + row;
            if (pixel < g.pixels_out()) body(piece, row, int64_t(pixel) * g.y_c + first_output + column());
        }
    }
};

// The sum of four outputs over the parts, in the order of the parts. `own`: where every block has its part.
__device__ inline float4 join_parts(const float* own, int parts) {
    float4 of[kMostParts];
    UNROLL
    for (int i = 0; i < kMostParts; ++i)  // all loads are issued before the first use
        if (i == 0 || i < parts) of[i] = load_of_block(reinterpret_cast<const float4*>(own), i);
    float4 v = of[0];
    UNROLL
    for (int i = 1; i < kMostParts; ++i)
        if (i < parts) v = {v.x + of[i].x, v.y + of[i].y, v.z + of[i].z, v.w + of[i].w};
    return v;
}

// `parts`: the blocks of a cluster, at most the number of steps.
template <class Tile>
__global__ void __launch_bounds__(kSplitThreads, 2) wgmma_split_kernel(const __grid_constant__ TensorMap pixels,
                                                                       const __grid_constant__ TensorMap filters,
                                                                       const __grid_constant__ ConvSizes g,
                                                                       int parts,
                                                                       const __grid_constant__ Epilogue to) {
    DYN_SHARED(typename Tile::Shared, memory);
    auto& shared = *memory;
    if (thread_index() == 0) shared.ring.init();
    block_sync();
    let_next_begin();
    const int rank = cluster_rank(), steps = Steps(g).all();
    const int first = steps * rank / parts, end = steps * (rank + 1) / parts;
    const int first_pixel = int(blockIdx.x) / parts * kSplitPixels, first_output = int(blockIdx.y) * Tile::kOutputs;
    if (warpgroup_index() > 0) {
        if (elect_one()) bring_part<Tile>(shared.ring, pixels, filters, g, first_pixel, first_output, first, end);
        warp_sync();
        cluster_sync();
        cluster_exit();
        return;
    }

    wait_for_kernels_in_front();
    const SplitPieces<Tile> pieces(g, first_pixel, first_output, rank, parts);
    float4 bias{};
    if (to.bias && first_output + pieces.column() < g.y_c)
        bias = ldg(reinterpret_cast<const float4*>(to.bias + first_output + pieces.column()));
    if (to.residual)
        pieces.for_each(
            [&](int piece, int, int64_t offset) { cp_async8(&shared.residual[piece], to.residual + offset); });
    cp_async_commit();
    multiply_part<Tile>(shared, end - first);
    cp_async_wait<0>();
    cluster_sync();  // all parts of the tile are in shared memory
    pieces.for_each([&](int piece, int row, int64_t offset) {
        float4 v = join_parts(&shared.sums[row][pieces.column()], parts);
        v = {v.x + bias.x, v.y + bias.y, v.z + bias.z, v.w + bias.w};
        if (to.residual) {
            const float2 low = halves(shared.residual[piece].x), high = halves(shared.residual[piece].y);
            v = {v.x + low.x, v.y + low.y, v.z + high.x, v.w + high.y};
        }
        if (to.relu) v = {relu(v.x), relu(v.y), relu(v.z), relu(v.w)};
        stg(reinterpret_cast<uint2*>(to.y + offset), uint2{pack_bf16(v.x, v.y), pack_bf16(v.z, v.w)});
    });
    cluster_exit();  // no block leaves while another one reads its sums, which are in the stores above
}

}  // namespace fp::FP_MACHINE
