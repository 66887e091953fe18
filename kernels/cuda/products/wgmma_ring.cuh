// The skeleton of a product on Hopper's warpgroups: stages of shared memory in a ring, which one thread fills
// through the tensor memory unit and two warpgroups multiply. Who reads the sums calls wgmma_settled first.
//
// Threads   384: a warpgroup of which one thread starts copies, and two that multiply
// Pipeline  four stages; `full` says that a stage's bytes are here, `empty` that both have read them. The
//           products of one step go on while those of the next are started.
// Operands  rows of 128 bytes (64 bf16), swizzled as the tensor memory unit lays them; what is outside an array
//           arrives as zeros, so nothing is masked
#pragma once

#include "hopper.cuh"

namespace fp::FP_MACHINE {

constexpr int kStages = 4, kConsumers = 2, kRingThreads = (1 + kConsumers) * kWarpgroup;
constexpr int kGroupWarps = kWarpgroup / kWarp;
constexpr int kChunk = TensorMapSpec::kRow, kRowBytes = 128;
constexpr int kProductRows = 64, kProductDepth = 16;
constexpr int kWarpRows = 16;  // of a product's, in one warp

template <int kStageBytes>
struct StageRing {
    unsigned char stage[kStages][kStageBytes];
    Mbarrier full[kStages], empty[kStages];

    // By one thread, before block_sync().
    __device__ void init() {
        for (int i = 0; i < kStages; ++i) {
            mbarrier_init(&full[i], 1);
            mbarrier_init(&empty[i], kConsumers * kGroupWarps);  // a lane of every warp that reads
        }
        mbarrier_init_fence();
    }

    // One thread: copy(i, stage, barrier) starts the copies of step i, kStageBytes together.
    template <class Copy>
    __device__ void fill(int steps, Copy copy) {
        for (int i = 0; i < steps; ++i) {
            const int at = i % kStages, round = i / kStages;
            if (round > 0) mbarrier_wait(&empty[at], (round - 1) % 2);
            mbarrier_arrive_expect(&full[at], kStageBytes);
            copy(i, stage[at], &full[at]);
        }
    }

    // A consumer: multiply(stage, k, add) starts its products of the k-th 16 of a step's sum, for kDeep of them
    // and steps [begin, end). A fixed number, since ptxas gives up the overlap of products under a branch.
    template <int kDeep, class Multiply>
    __device__ void drain(int begin, int end, Multiply multiply) {
        for (int i = begin; i < end; ++i) {
            mbarrier_wait(&full[i % kStages], i / kStages % 2);
            wgmma_fence();
            UNROLL
            for (int k = 0; k < kDeep; ++k) multiply(stage[i % kStages], k, i > 0 || k > 0);
            wgmma_commit();
            wgmma_wait<1>();  // this step's go on; the one before is over, and its stage free
            if (i > begin && lane_index() == 0) mbarrier_arrive(&empty[(i - 1) % kStages]);
        }
        wgmma_wait<0>();
        if (end > begin && lane_index() == 0) mbarrier_arrive(&empty[(end - 1) % kStages]);
    }
};

// The warpgroup this thread is of; the compiler sees that a warp agrees.
__device__ inline int warpgroup_index() { return shuffle(thread_index() / kWarpgroup, 0); }

// What a consumer keeps: kProducts products of 64 rows, one below the other, of kColumns columns.
template <int kRows_, int kColumns_>
struct ConsumerTile {
    static constexpr int kRows = kRows_, kColumns = kColumns_;
    static constexpr int kProducts = kRows / kConsumers / kProductRows;
    using Sums = float[kProducts][kColumns / 2];
    // Where the consumer's product begins among the block's rows.
    __device__ static int first_row(int consumer, int product) {
        return (consumer * kProducts + product) * kProductRows;
    }
};

}  // namespace fp::FP_MACHINE
