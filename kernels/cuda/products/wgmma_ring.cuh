// The skeleton of a matrix product on Hopper's warpgroup instructions (wgmma): a ring of stages in shared memory, which
// one producer thread fills through the tensor memory accelerator (TMA) and two consumer warpgroups multiply. Call
// wgmma_settled before reading the accumulators.
//
// Threads   384: the producer's warpgroup, of which one thread works, and two consumer warpgroups
// Pipeline  four stages, each with two mbarriers: a phase of `full` completes when the bytes of the stage have arrived,
//           one of `empty` when both consumers have read them. The products of one step continue while those of the
//           next are issued.
// Operands  rows of 128 bytes (64 bf16), swizzled as TMA writes them. Elements outside of an array arrive as zeros, so
//           nothing is masked.
#pragma once

#include "hopper.cuh"

namespace fp::FP_MACHINE {

constexpr int kStages = 4, kConsumers = 2, kRingThreads = (1 + kConsumers) * kWarpgroup;
constexpr int kGroupWarps = kWarpgroup / kWarp;
constexpr int kChunk = TensorMapSpec::kRow, kRowBytes = 128;
constexpr int kProductRows = 64, kProductDepth = 16;
constexpr int kWarpRows = 16;  // rows of a product that one warp holds

// A position in an endless ring: the stage, and the parity of its mbarrier phase. A consumer waits for this parity of
// `full`, the producer for the opposite one of `empty`.
struct RingPlace {
    int stage = 0, parity = 0;
    __device__ void next(int stages) {
        if (++stage < stages) return;
        stage = 0;
        parity ^= 1;
    }
};

template <int kStageBytes, int kStages = fp::FP_MACHINE::kStages, int kConsumers = fp::FP_MACHINE::kConsumers>
struct StageRing {
    unsigned char stage[kStages][kStageBytes];
    Mbarrier full[kStages], empty[kStages];

    // To be called by one thread, before block_sync().
    __device__ void init() {
        for (int i = 0; i < kStages; ++i) {
            mbarrier_init(&full[i], 1);
            mbarrier_init(&empty[i], kConsumers * kGroupWarps);  // one lane per consumer warp arrives
        }
        mbarrier_init_fence();
    }

    // The producer waits until the stage of step i is free.
    __device__ void reuse(int i) {
        if (i >= kStages) mbarrier_wait(&empty[i % kStages], (i / kStages - 1) % 2);
    }

    // The producer. copy(i, stage, barrier) starts the copies of step i, kStageBytes in total.
    template <class Copy>
    __device__ void fill(int steps, Copy copy) {
        for (int i = 0; i < steps; ++i) {
            const int at = i % kStages;
            reuse(i);
            mbarrier_arrive_expect(&full[at], kStageBytes);
            copy(i, stage[at], &full[at]);
        }
    }

    // A consumer. For each of the steps [begin, end), multiply(stage, k, add) issues the products over the k-th 16 of
    // the step's sum, for k < kDeep. kDeep is a constant, since ptxas does not overlap products under a branch.
    template <int kDeep, class Multiply>
    __device__ void drain(int begin, int end, Multiply multiply) {
        for (int i = begin; i < end; ++i) {
            mbarrier_wait(&full[i % kStages], i / kStages % 2);
            wgmma_fence();
            UNROLL
            for (int k = 0; k < kDeep; ++k) multiply(stage[i % kStages], k, i > 0 || k > 0);
            wgmma_commit();
            wgmma_wait<1>();  // this step's products continue; the previous step's are complete, and its stage is free
            if (i > begin && lane_index() == 0) mbarrier_arrive(&empty[(i - 1) % kStages]);
        }
        wgmma_wait<0>();
        if (end > begin && lane_index() == 0) mbarrier_arrive(&empty[(end - 1) % kStages]);
    }
};

// The index of this thread's warpgroup. The shuffle tells the compiler that it is uniform in the warp.
__device__ inline int warpgroup_index() { return shuffle(thread_index() / kWarpgroup, 0); }

// The accumulators of a consumer: kProducts products of 64 rows and kColumns columns, one below the other.
template <int kRows_, int kColumns_>
struct ConsumerTile {
    static constexpr int kRows = kRows_, kColumns = kColumns_;
    static constexpr int kProducts = kRows / kConsumers / kProductRows;
    using Sums = float[kProducts][kColumns / 2];
    // The first row of a consumer's product, counted in the block's tile.
    __device__ static int first_row(int consumer, int product) {
        return (consumer * kProducts + product) * kProductRows;
    }
};

}  // namespace fp::FP_MACHINE
