// Sums in a fixed order: over a warp, over a block. No atomics, so the same bits every time.
#pragma once

#include "machine.cuh"

namespace fp::FP_MACHINE {

// The sum over a warp, in every lane.
template <class T>
__device__ T warp_sum(T v) {
    UNROLL
    for (int lanes = kWarp / 2; lanes > 0; lanes /= 2) v += shuffle_xor(v, lanes);
    return v;
}

// The largest over a warp, in every lane. NaN is ignored.
__device__ inline float warp_max(float v) {
    UNROLL
    for (int lanes = kWarp / 2; lanes > 0; lanes /= 2) v = fmaxf(v, shuffle_xor(v, lanes));
    return v;
}

// Combines each of kCount values over the kLanes lanes whose indices differ in the bits from kStep up, and scatters the
// results: a lane ends with kCount / kLanes of them in v[0].., and returns the number of the first. This takes kCount -
// kCount / kLanes shuffles, where one value at a time would take kCount log2(kLanes).
template <class Combine, int kLanes, int kStep, int kCount>
__device__ int scatter_over_lanes(float (&v)[kCount]) {
    static_assert(kCount % kLanes == 0);
    int first = 0, count = kCount;
    UNROLL
    for (int lanes = kStep; lanes < kStep * kLanes; lanes *= 2) {
        count /= 2;
        const bool upper = lane_index() & lanes;
        UNROLL
        for (int i = 0; i < kCount / 2; ++i) {
            if (i >= count) break;
            const float kept = upper ? v[i + count] : v[i], sent = upper ? v[i] : v[i + count];
            v[i] = Combine::combine(kept, shuffle_xor(sent, lanes));
        }
        if (upper) first += count;
    }
    return first;
}

// The sum over a block of kThreads, in every thread.
template <int kThreads, class T>
__device__ T block_sum(T v) {
    constexpr int kWarps = kThreads / kWarp;
    SHARED(T, of_warp, [kWarps]);
    v = warp_sum(v);
    block_sync();  // an earlier call may still be read
    if (lane_index() == 0) of_warp[warp_index()] = v;
    block_sync();
    T sum = of_warp[0];
    for (int w = 1; w < kWarps; ++w) sum += of_warp[w];
    return sum;
}

}  // namespace fp::FP_MACHINE
