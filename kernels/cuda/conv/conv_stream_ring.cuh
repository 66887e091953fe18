// The main loop of conv_stream.cuh, whose head describes the kernel: the tile type, the shared memory of a block, the
// producer thread, and the products of one consumer warpgroup.
#pragma once

#include "kernels/cuda/conv/conv_wgmma.cuh"
#include "kernels/cuda/plan/conv_plan.h"

namespace fp::FP_MACHINE {

constexpr int kPatchTaps = kPatchSide * kPatchSide;
constexpr int kPiece = 64;  // outputs of one slab of the epilogue
constexpr int kPieceBytes = kWarpRows * kRowBytes;

template <int kConsumers_, int kProducts_, int kOutputs_, template <int> class Filters_, bool kPatch_>
struct StreamTile {
    static constexpr int kConsumers = kConsumers_, kProducts = kProducts_, kOutputs = kOutputs_;
    static constexpr bool kPatch = kPatch_;
    using Filters = Filters_<kOutputs>;
    // Whether the epilogue has code for bias, ReLU and moments: the gradient uses none of them.
    static constexpr bool kForward = Filters::kOperand == Operand::rows;
    static constexpr int kThreads = (1 + kConsumers) * kWarpgroup;
    static constexpr int kConsumerRows = kProducts * kProductRows;
    static constexpr int kRows = kConsumers * kConsumerRows;
    static constexpr int kPixelBytes = kPatch ? 0 : kRows * kRowBytes;
    static constexpr int kStageBytes = Filters::kBytes + kPixelBytes;
    static constexpr int kPieces = kOutputs / kPiece, kSlabs = kPieces * kProducts;
    static constexpr int kWarps = kConsumers * kGroupWarps;  // of the consumers
    static constexpr int kStagingBytes = kWarps * 2 * kPieceBytes;
    static constexpr int kMomentsBytes = kForward ? stream_moments_bytes({kRows, kOutputs}) : 0;
    // Steps whose products are issued together: those of a narrow tile end too soon to hide the other costs of a step.
    static constexpr int kTogether = kPatch && kOutputs == 64 ? 3 : 1;
    // With three consumer warpgroups and 256 outputs a thread has 128 accumulators. ptxas accepts so many in a thread but
    // not in one instruction, so each product is issued as two of half the width.
    static constexpr int kWide = kConsumers == 3 && kOutputs == 256 ? 128 : kOutputs;  // columns of one instruction
    static constexpr int kBeside = kOutputs / kWide;
    using Sums = float[kProducts][kBeside][kWide / 2];
    // Registers per thread of the producer and of the consumer warpgroups; at launch all have 168 or 128.
    static constexpr int kCopyRegisters = kConsumers == 3 ? 32 : 56;
    static constexpr int kProductRegisters = kConsumers == 3 ? 160 : 224;
    static_assert(kCopyRegisters + kConsumers * kProductRegisters <= 65536 / kThreads / 8 * 8 * (1 + kConsumers));
};

struct StreamBarriers {
    Mbarrier full[kMostStages], empty[kMostStages];
    Mbarrier patch_full[kPatches], patch_empty[kPatches];
    Mbarrier turn[2];  // for the skew: completed once, by the warpgroup before
};
static_assert(sizeof(StreamBarriers) <= kStreamBarrierBytes);

// What a warp has accumulated of its rows in one piece of outputs, two columns per lane. All pieces of a warp lie in
// its second epilogue buffer: a pass with moments has no residual, which is what needs two buffers. Behind them, or where
// that buffer is full (stream_moments_bytes) behind all buffers, lie the bases of the sums and the number of the rows.
struct PieceSums {
    float2 sum[kWarp], square[kWarp];
};

// The layout of shared memory: stages (filters, then pixels), patches, the epilogue buffers of the warps, of each warp
// the bases of its sums and then the numbers of its rows (for moments of 256 outputs), mbarriers.
template <class T>
struct StreamMemory {
    unsigned char* base;
    int stages, patch_bytes;

    static constexpr size_t bytes(const StreamPlan& plan) {
        return size_t(plan.stages) * T::kStageBytes + size_t(T::kPatch ? kPatches * plan.patch_bytes : 0) +
               T::kStagingBytes + T::kMomentsBytes + sizeof(StreamBarriers);
    }
    __device__ unsigned char* stage(int i) const { return base + i * T::kStageBytes; }
    __device__ unsigned char* patch(int i) const { return base + stages * T::kStageBytes + i * patch_bytes; }
    __device__ unsigned char* pieces(int warp) const {
        return patch(T::kPatch ? kPatches : 0) + warp * 2 * kPieceBytes;
    }
    __device__ PieceSums& sums(int warp, int piece) const {
        static_assert(T::kPieces * sizeof(PieceSums) <= kPieceBytes);
        return reinterpret_cast<PieceSums*>(pieces(warp) + kPieceBytes)[piece];
    }
    static constexpr bool kBesideSums =
        T::kPieces * (sizeof(PieceSums) + kWarp * sizeof(uint32_t)) + sizeof(int) <= kPieceBytes;
    static_assert(kBesideSums == (stream_moments_bytes({T::kRows, T::kOutputs}) == 0));
    __device__ uint32_t* bases(int warp, int piece) const {
        if constexpr (kBesideSums) return reinterpret_cast<uint32_t*>(&sums(warp, T::kPieces)) + piece * kWarp;
        return reinterpret_cast<uint32_t*>(pieces(T::kWarps)) + (warp * T::kPieces + piece) * kWarp;
    }
    __device__ int& rows_seen(int warp) const {
        if constexpr (kBesideSums) return *reinterpret_cast<int*>(bases(warp, T::kPieces));
        return reinterpret_cast<int*>(bases(T::kWarps, 0))[warp];
    }
    __device__ StreamBarriers& barriers() const {
        return *reinterpret_cast<StreamBarriers*>(pieces(T::kWarps) + T::kMomentsBytes);
    }
};

template <class T>
__device__ void init(StreamBarriers& b, int stages) {
    for (int i = 0; i < stages; ++i) {  // one lane per consumer warp arrives at `empty`
        mbarrier_init(&b.full[i], 1);
        mbarrier_init(&b.empty[i], T::kWarps);
    }
    for (int i = 0; i < kPatches && T::kPatch; ++i) {
        mbarrier_init(&b.patch_full[i], 1);
        mbarrier_init(&b.patch_empty[i], T::kWarps);
    }
    for (int i = 0; i + 1 < T::kConsumers; ++i) mbarrier_init(&b.turn[i], kGroupWarps);
    mbarrier_init_fence();
}

template <class T>
struct StreamAt {  // where a tile begins
    int first_row, first_output;

    __device__ StreamAt(const StreamPlan& plan, int tile) {
        const int down = tile / plan.across;
        first_row = down * T::kRows;
        first_output = (tile - down * plan.across) * T::kOutputs;
    }
};

// The producer thread: starts all copies of a block.
template <class T>
__device__ void bring_stream(const StreamMemory<T>& memory,
                             const TensorMap& pixels,
                             const TensorMap& filters,
                             const ConvSizes& g,
                             const StreamPlan& plan) {
    using Filters = typename T::Filters;
    StreamBarriers& b = memory.barriers();
    RingPlace ring, patch;
    // Waits until the next stage is free and returns it; `full` becomes the mbarrier that its copies complete.
    const auto next_stage = [&](Mbarrier*& full) {
        unsigned char* stage = memory.stage(ring.stage);
        full = &b.full[ring.stage];
        mbarrier_wait(&b.empty[ring.stage], ring.parity ^ 1);
        mbarrier_arrive_expect(full, T::kStageBytes);
        ring.next(plan.stages);
        return stage;
    };
    const auto bring_tile = [&](int tile) {
        const StreamAt<T> at(plan, tile);
        Mbarrier* full;
        if constexpr (T::kPatch) {
            const int line = at.first_row / plan.pitch, n = line / plan.lines;
            for (int c = 0; c < g.c; c += kChunk) {
                Mbarrier* here = &b.patch_full[patch.stage];
                mbarrier_wait(&b.patch_empty[patch.stage], patch.parity ^ 1);
                mbarrier_arrive_expect(here, plan.patch_rows * kRowBytes);
                tensor_load_im2col(memory.patch(patch.stage), pixels, c, at.first_row - line * plan.pitch - 1,
                                   line - n * plan.lines - 1, n, 0, 0, here);
                patch.next(kPatches);
                if (plan.resident && tile != int(blockIdx.x)) continue;
                for (int tap = 0; tap < kPatchTaps; ++tap) {
                    unsigned char* stage = next_stage(full);
                    Filters::bring(stage, filters, g, tap, c, at.first_output, full);
                }
            }
        } else {
            const PixelPlace place(g, at.first_row);
            const int w = place.q * g.stride - g.pad, h = place.p * g.stride - g.pad;
            const int whole = g.c / kChunk * kChunk;
            const auto bring_taps = [&](int from, int to) {  // channels
                for (int r = 0, tap = 0; r < g.r; ++r)
                    for (int s = 0; s < g.s; ++s, ++tap)
                        for (int c = from; c < to; c += kChunk) {
                            unsigned char* stage = next_stage(full);
                            tensor_load_im2col(stage + Filters::kBytes, pixels, c, w, h, place.n, s, r, full);
                            Filters::bring(stage, filters, g, tap, c, at.first_output, full);
                        }
            };
            bring_taps(0, whole);
            bring_taps(whole, g.c);
        }
    };
    for (int strand = int(blockIdx.x); strand < min(plan.strands, plan.tiles); strand += int(gridDim.x))
        for (int tile = strand; tile < plan.tiles; tile += plan.strands) bring_tile(tile);
}

// The products of one consumer warpgroup.
template <class T>
struct StreamConsumer {
    using Filters = typename T::Filters;
    using Sums = typename T::Sums;
    const StreamMemory<T>& memory;
    const StreamPlan& plan;
    int consumer;
    RingPlace ring = {}, patch = {};

    __device__ void release(Mbarrier& empty) const {
        if (lane_index() == 0) mbarrier_arrive(&empty);
    }
    // Frees the kTogether stages before stage `next`.
    __device__ void release_before(int next) const {
        if (plan.resident) return;
        UNROLL
        for (int i = 1; i <= T::kTogether; ++i)
            release(memory.barriers().empty[next - i + (next < i ? plan.stages : 0)]);
    }
    // Waits until the stage of the next step is loaded, and returns the descriptor of its filters.
    __device__ uint64_t next_filters() {
        mbarrier_wait(&memory.barriers().full[ring.stage], plan.resident ? 0 : ring.parity);
        const uint64_t filters = Filters::descriptor(memory.stage(ring.stage), 0);
        ring.next(plan.stages);
        return filters;
    }
    // Issues the products of one step; x is the descriptor of its pixels.
    template <int kDeep>
    __device__ void start(uint64_t x, uint64_t filters, bool add, Sums& sums) const {
        UNROLL
        for (int k = 0; k < kDeep; ++k) {
            UNROLL
            for (int m = 0; m < T::kProducts * T::kBeside; ++m)
                wgmma_bf16<T::kWide, Operand::rows, Filters::kOperand>(
                    sums[m / T::kBeside][m % T::kBeside], x + m / T::kBeside * (kProductRows * kRowBytes / 16) + k * 2,
                    filters + m % T::kBeside * (T::kWide * kRowBytes / 16) + k * Filters::kNext, add || k > 0);
        }
    }

    // Steps [begin, end) of a tile, each of which sums over kDeep x 16 channels.
    template <int kDeep>
    __device__ void drain(int begin, int end, bool first_tile, Sums& sums) {
        for (int i = begin; i < end; ++i) {
            const int stage = ring.stage;
            const uint64_t x =
                row_descriptor(memory.stage(stage) + Filters::kBytes + consumer * T::kConsumerRows * kRowBytes);
            const uint64_t filters = next_filters();
            wgmma_fence();
            start<kDeep>(x, filters, i > 0, sums);
            wgmma_commit();
            wgmma_wait<1>();  // the products of the previous step are complete
            if (i > 0) release_before(stage);
            if (first_tile && i == plan.skew && consumer + 1 < T::kConsumers) release(memory.barriers().turn[consumer]);
        }
    }
    // The same for patches [begin, end), with one step per tap.
    template <int kDeep>
    __device__ void drain_patches(int begin, int end, bool first_tile, Sums& sums) {
        StreamBarriers& b = memory.barriers();
        for (int i = begin; i < end; ++i) {
            mbarrier_wait(&b.patch_full[patch.stage], patch.parity);
            uint64_t x = row_descriptor(memory.patch(patch.stage) + consumer * T::kConsumerRows * kRowBytes);
            for (int r = 0; r < kPatchSide; ++r) {
                UNROLL
                for (int s = 0; s < kPatchSide; s += T::kTogether) {
                    const int stage = ring.stage;
                    uint64_t filters[T::kTogether];
                    UNROLL
                    for (uint64_t& f : filters) f = next_filters();
                    wgmma_fence();
                    UNROLL
                    for (int t = 0; t < T::kTogether; ++t)
                        start<kDeep>(x + (s + t) * (kRowBytes / 16), filters[t], i > 0 || r > 0 || s + t > 0, sums);
                    wgmma_commit();
                    wgmma_wait<1>();
                    if (i > 0 || r > 0 || s > 0) release_before(stage);
                    if (i > 0 && r == 0 && s == 0) release(b.patch_empty[patch.stage ^ 1]);
                }
                x += plan.pitch * (kRowBytes / 16);
                if (first_tile && i == 0 && r == plan.skew && consumer + 1 < T::kConsumers) release(b.turn[consumer]);
            }
            patch.next(kPatches);
        }
    }

    __device__ void multiply(const ConvSizes& g, bool first_tile, Sums& sums) {
        StreamBarriers& b = memory.barriers();
        if (first_tile && consumer > 0) mbarrier_wait(&b.turn[consumer - 1], 0);
        const Steps steps(g);
        const int whole = T::kPatch ? steps.whole_chunks : steps.whole();
        const int all = T::kPatch ? whole + (steps.tail > 0) : steps.all();
        const auto drain_deep = [&]<int kDeep>(int begin, int end) {
            if constexpr (T::kPatch)
                drain_patches<kDeep>(begin, end, first_tile, sums);
            else
                drain<kDeep>(begin, end, first_tile, sums);
        };
        drain_deep.template operator()<4>(0, whole);
        if (whole < all) {
            if (steps.tail <= 16)
                drain_deep.template operator()<1>(whole, all);
            else if (steps.tail <= 32)
                drain_deep.template operator()<2>(whole, all);
            else if (steps.tail <= 48)
                drain_deep.template operator()<3>(whole, all);
            else
                drain_deep.template operator()<4>(whole, all);
        }
        wgmma_wait<0>();
        UNROLL
        for (int m = 0; m < T::kProducts * T::kBeside; ++m) wgmma_settled(sums[m / T::kBeside][m % T::kBeside]);
        release_before(ring.stage);
        if (T::kPatch) release(b.patch_empty[patch.stage ^ 1]);
    }
};

}  // namespace fp::FP_MACHINE
