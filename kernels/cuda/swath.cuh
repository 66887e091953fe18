// A map as the memory-bound kernels walk it: a block takes whole rows of packs, up to 32 packs across, and walks
// down the map with as many bytes on their way as it takes to keep the memory busy.
//
// Threads   256: `across` packs by `down` rows are a step; a block does `run` steps, `abreast` blocks side by side
//           make a stretch, so that all that run at one time read one stretch of memory, and what was read last lies
//           together and may still be in L2 for who comes next. Blocks start at the map's end where `backward`.
// Traffic   what a thread reads lies `kDepth` steps deep on its way: into its own slots of shared memory (Ring: no
//           register waits), or into registers, a batch of steps at once (Batch).
// Bound     memory: 4.2 TB/s at some 800 ns wants 25 KB on their way a multiprocessor; three blocks of two maps and
//           three steps have 72 KB, batches of two steps 48 KB for half of the time.
#pragma once

#include <cstdlib>

#include "kernels/cuda/pack.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/tiles.h"

namespace fp::FP_MACHINE {

// Of the prototype: which of several ways a launcher takes. Read at every call, so that a test can change it.
inline int choice(const char* name, int unset) {
    const char* value = std::getenv(name);
    return value ? std::atoi(value) : unset;
}

// What this thread walks: `count` packs from `first` on, `stride` apart, of a map of packs. (kernels/tiles.h, Swath)
struct SwathPlace {
    int pack, count, first, stride;

    __device__ __forceinline__ explicit SwathPlace(const Swath& s, bool backward) {
        const int across = thread_index() % s.across, down = thread_index() / s.across;
        const int group = int(blockIdx.x) % s.groups;
        int chunk = int(blockIdx.x) / s.groups;
        if (backward) chunk = s.chunks() - 1 - chunk;
        const int stretch = chunk / s.abreast, lane = chunk % s.abreast;
        pack = group * s.across + across;
        const int row = (stretch * s.abreast * s.run + lane) * s.down + down,
                  step = s.abreast * s.down;
        const bool inside = pack < s.packs && down < s.down && row < s.rows;
        count = inside ? min(s.run, (s.rows - 1 - row) / step + 1) : 0;
        first = row * s.packs + pack;
        stride = step * s.packs;
        if (backward && count > 0) {
            first += (count - 1) * stride;
            stride = -stride;
        }
    }
    __device__ int at(int i) const { return first + i * stride; }
};

__device__ inline uint4 load_raw(const void* map, int pack) {
    return ldg(static_cast<const uint4*>(map) + pack);
}

template <class A>
__device__ Pack<A> unpacked(const uint4& raw);
template <>
__device__ inline Pack<bf16> unpacked<bf16>(const uint4& raw) {
    const unsigned pairs[4] = {raw.x, raw.y, raw.z, raw.w};
    Pack<bf16> out;
    UNROLL
    for (int i = 0; i < 4; ++i) {
        out.v[2 * i] = to_float(bf16{uint16_t(pairs[i])});
        out.v[2 * i + 1] = to_float(bf16{uint16_t(pairs[i] >> 16)});
    }
    return out;
}
template <>
__device__ inline Pack<float> unpacked<float>(const uint4& raw) {
    return {
        {float_of_bits(raw.x), float_of_bits(raw.y), float_of_bits(raw.z), float_of_bits(raw.w)}};
}

// kMaps maps, and a byte a pack of `bits` where kBits. use(place, raw packs, byte) is called step by step, in order.
constexpr int kRingDepth = 4;
template <int kMaps>
struct RingSlots {
    uint4 of[kRingDepth][kMaps][Swath::kThreads];
};

// Through slots of shared memory that are the thread's own, so that no barrier is needed.
template <int kMaps, bool kBits>
struct Ring {
    RingSlots<kMaps>& slots;
    const void* const (&maps)[kMaps];
    const uint8_t* bits;
    const SwathPlace& at;
    unsigned byte[kRingDepth] = {};

    __device__ __forceinline__ Ring(RingSlots<kMaps>& s,
                                    const void* const (&m)[kMaps],
                                    const uint8_t* b,
                                    const SwathPlace& place)
        : slots(s), maps(m), bits(b), at(place) {
        UNROLL
        for (int i = 0; i < kRingDepth - 1; ++i) fill(i, i);
    }
    __device__ __forceinline__ void fill(int slot, int step) {
        if (step < at.count) {
            const int pack = at.at(step);
            UNROLL
            for (int m = 0; m < kMaps; ++m)
                cp_async16(&slots.of[slot][m][thread_index()],
                           static_cast<const uint4*>(maps[m]) + pack);
            if constexpr (kBits) byte[slot] = ldg(bits + pack);
        }
        cp_async_commit();
    }
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

// Through registers: the loads of a batch of steps all start before one is waited for.
template <int kMaps, bool kBits, int kBatch = 2>
struct Batch {
    const void* const (&maps)[kMaps];
    const uint8_t* bits;
    const SwathPlace& at;
    uint4 raw[kBatch][kMaps];
    unsigned byte[kBatch] = {};

    __device__ __forceinline__ Batch(const void* const (&m)[kMaps],
                                     const uint8_t* b,
                                     const SwathPlace& place)
        : maps(m), bits(b), at(place) {
        fill(0);
    }
    __device__ __forceinline__ void fill(int step) {
        UNROLL
        for (int i = 0; i < kBatch; ++i)
            if (step + i < at.count) {
                const int pack = at.at(step + i);
                UNROLL
                for (int m = 0; m < kMaps; ++m) raw[i][m] = load_raw(maps[m], pack);
                if constexpr (kBits) byte[i] = ldg(bits + pack);
            }
    }
    template <class Use>
    __device__ __forceinline__ void walk(Use use) {
        for (int step = 0; step < at.count; step += kBatch) {
            if (step > 0) fill(step);
            UNROLL
            for (int i = 0; i < kBatch; ++i)
                if (step + i < at.count) use(at.at(step + i), raw[i], byte[i]);
        }
    }
};

// Sums each of a thread's kValues down the block's rows, in order; put(pack across the block, value, sum). `room`,
// shared, is read no more by anyone else when the slowest thread is here.
constexpr int kSumStride =
    Swath::kThreads + 8;  // no two lanes that read or write at once meet in a bank
template <int kValues, class Put>
__device__ void sum_rows(const float (&v)[kValues], float* room, const Swath& s, Put put) {
    block_sync();
    UNROLL
    for (int e = 0; e < kValues; ++e) room[e * kSumStride + thread_index()] = v[e];
    block_sync();
    for (int i = thread_index(); i < s.across * kValues; i += Swath::kThreads) {
        const int across = i % s.across, e = i / s.across;
        const float* column = room + e * kSumStride + across;
        float sum = 0;
        for (int d = 0; d < s.down; ++d) sum += column[d * s.across];
        put(across, e, sum);
    }
}

}  // namespace fp::FP_MACHINE
