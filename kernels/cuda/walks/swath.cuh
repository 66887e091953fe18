// A thread's walk over a Swath (kernels/cuda/plan/walks.h), with enough loads in flight to saturate memory, and sums
// over the rows of a block.
//
// Threads   256. In each step a thread reads one pack of 16 bytes from every map, and one byte of mask if asked.
// Traffic   Loads are issued three steps ahead, by cp.async into slots of shared memory that belong to the thread: they
//           occupy no registers, and no barrier is needed.
// Bound     memory. 4.2 TB/s at a latency of about 800 ns need 25 KB in flight per multiprocessor; three blocks that
//           read two maps three steps ahead have 72 KB.
// Measured  H200, backward of batch norm, 64 channels at 56x56, bf16, batch 256: 133.5 us. Loads into registers, two
//           steps at a time, took 135.5. Both went over the map in other directions than batchnorm.cuh has now: the
//           sums forward, `differentiate` backward.
#pragma once

#include "kernels/cuda/plan/walks.h"
#include "kernels/cuda/walks/pack.cuh"

namespace fp::FP_MACHINE {

inline Grid swath_grid(const Swath& s, const Place& at = Place::current()) {
    return {.blocks = s.blocks(), .threads = Swath::kThreads, .at = at};
}
__device__ __forceinline__ SwathPlace place_on(const Swath& s, bool from_end = false) {
    return s.place(int(blockIdx.x), thread_index(), from_end);
}

constexpr int kRingDepth = 4;
template <int kMaps>
struct RingSlots {
    uint4 of[kRingDepth][kMaps][Swath::kThreads];
};
template <int kMaps>
struct RingMaps {
    const void* of[kMaps];
};

// Loads kMaps maps, and `bits` (one byte per pack) if kBits. The constructor issues the loads of the first steps.
template <int kMaps, bool kBits = false>
struct SwathRing {
    RingSlots<kMaps>& slots;
    const RingMaps<kMaps> maps;
    const uint8_t* bits;
    const SwathPlace& at;
    unsigned byte[kRingDepth] = {};

    __device__ __forceinline__ SwathRing(RingSlots<kMaps>& slots_,
                                         const RingMaps<kMaps>& maps_,
                                         const SwathPlace& at_,
                                         const uint8_t* bits_ = nullptr)
        : slots(slots_), maps(maps_), bits(bits_), at(at_) {
        UNROLL
        for (int i = 0; i < kRingDepth - 1; ++i) fill(i, i);
    }
    __device__ __forceinline__ void fill(int slot, int step) {
        if (step < at.count) {
            const int pack = at.at(step);
            UNROLL
            for (int m = 0; m < kMaps; ++m)
                cp_async16(&slots.of[slot][m][thread_index()], static_cast<const uint4*>(maps.of[m]) + pack);
            if constexpr (kBits) byte[slot] = ldg(bits + pack);
        }
        cp_async_commit();
    }
    // use(index of the pack, the packs of the maps as stored, byte), step by step in order.
    template <class Use>
    __device__ __forceinline__ void walk(Use use) {
        for (int step = 0; step < at.count; step += kRingDepth) {
            UNROLL
            for (int slot = 0; slot < kRingDepth; ++slot) {
                cp_async_wait<kRingDepth - 2>();
                fill((slot + kRingDepth - 1) % kRingDepth, step + slot + kRingDepth - 1);
                if (step + slot >= at.count) continue;
                uint4 raw[kMaps];
                UNROLL
                for (int m = 0; m < kMaps; ++m) raw[m] = slots.of[slot][m][thread_index()];
                use(at.at(step + slot), raw, byte[slot]);
            }
        }
        cp_async_wait<0>();
    }
};

// Shared memory of a block that walks and then sums kValues numbers of each thread: `room` reuses the memory of the
// slots.
constexpr int kSumStride = Swath::kThreads + 8;  // no bank conflicts
template <int kMaps, int kValues>
union SlotsThenSums {
    RingSlots<kMaps> slots;
    float room[kValues * kSumStride];
};

// Writes the numbers of each thread to `room`, which may overlap the slots of the ring: after the first barrier no
// thread uses those.
template <int kValues>
__device__ void share_values(const float (&v)[kValues], float* room) {
    block_sync();
    UNROLL
    for (int e = 0; e < kValues; ++e) room[e * kSumStride + thread_index()] = v[e];
    block_sync();
}
// The sum of number e over the block's rows, in order; `across` counts the packs of a row.
__device__ inline float sum_of_rows(const float* room, int e, int pack, int across, int down) {
    const float* column = room + e * kSumStride + pack;
    float sum = 0;
    for (int d = 0; d < down; ++d) sum += column[d * across];
    return sum;
}
// put(pack of the row, e, sum) for each of the kValues and packs.
template <int kValues, class Put>
__device__ void sum_rows(const float (&v)[kValues], float* room, int across, int down, Put put) {
    share_values(v, room);
    for (int i = thread_index(); i < across * kValues; i += Swath::kThreads)
        put(i % across, i / across, sum_of_rows(room, i / across, i % across, across, down));
}

}  // namespace fp::FP_MACHINE
