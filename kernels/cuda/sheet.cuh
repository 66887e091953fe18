// The threads of a block on a Sheet (kernels/tiles.h), and sums down its columns.
#pragma once

#include "kernels/cuda/pack.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/tiles.h"

namespace fp::FP_MACHINE {

inline Grid sheet_grid(const Sheet& s, const Place& at = Place::current()) {
    return {.blocks = s.chunks(), .blocks_y = s.groups(), .threads = Sheet::kThreads, .at = at};
}

// What this thread owns: one pack of every 32nd row from `first` to before `end`.
struct SheetPlace {
    int pack;  // may lie beyond the last one: such threads only keep the barriers
    int64_t first, end;
    bool inside;

    __device__ explicit SheetPlace(const Sheet& s) {
        pack = int(blockIdx.y) * Sheet::kAcross + thread_index() % Sheet::kAcross;
        const int64_t from = int64_t(blockIdx.x) * s.rows_per_chunk();
        first = from + thread_index() / Sheet::kAcross;
        end = min(from + s.rows_per_chunk(), s.rows);
        inside = pack < s.packs;
    }
    __device__ static int64_t chunk_begin(const Sheet& s) {
        return int64_t(blockIdx.x) * s.rows_per_chunk();
    }
};

// Sums each of the kValues down the block's 32 threads; the threads of the first row hold the result.
template <int kValues>
__device__ void sum_down(float (&v)[kValues]) {
    constexpr int kWarps = Sheet::kThreads / kWarp;
    SHARED(float, of_warp, [kWarps][Sheet::kAcross][kValues]);
    UNROLL
    for (int i = 0; i < kValues; ++i) {
        v[i] += shuffle_xor(v[i], 8);  // a warp is four rows of eight
        v[i] += shuffle_xor(v[i], 16);
    }
    if (lane_index() < Sheet::kAcross) {
        UNROLL
        for (int i = 0; i < kValues; ++i) of_warp[warp_index()][lane_index()][i] = v[i];
    }
    block_sync();
    if (thread_index() >= Sheet::kAcross) return;
    UNROLL
    for (int i = 0; i < kValues; ++i) {
        float sum = 0;
        for (int w = 0; w < kWarps; ++w) sum += of_warp[w][thread_index()][i];
        v[i] = sum;
    }
}

// The second stage of a sum over chunks: one warp a channel, in double, in order.
__device__ inline double sum_chunks(const float* partial, int64_t stride, int64_t chunks) {
    double sum = 0;
    for (int64_t i = lane_index(); i < chunks; i += kWarp) sum += ldg(partial + i * stride);
    return warp_sum(sum);
}

// What the second stages share: one warp a channel, 8 warps a block.
constexpr int kChannelWarps = 8;
inline Grid channel_grid(int channels, const Place& at = Place::current()) {
    return {
        .blocks = ceil_div(channels, kChannelWarps), .threads = kChannelWarps * kWarp, .at = at};
}
__device__ inline int channel_index() { return int(blockIdx.x) * kChannelWarps + warp_index(); }

}  // namespace fp::FP_MACHINE
