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

// The largest over a warp, in every lane. A NaN is passed over.
__device__ inline float warp_max(float v) {
    UNROLL
    for (int lanes = kWarp / 2; lanes > 0; lanes /= 2) v = fmaxf(v, shuffle_xor(v, lanes));
    return v;
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
