// Adds the parts of a sum in order:   sum[i] = parts[0][i] + parts[1][i] + ..      or sum[i] += that
//
// Shapes    parts (count, size)  sum (size), float32
// Threads   256 per block, for 256 / kGroups packs of four numbers. kGroups threads share a pack: thread g adds the
//           g-th run of parts in order, eight loads at a time, and the runs' sums are added in order through shared
//           memory. kGroups is as large as filling the device needs, with at least eight parts per group. The order,
//           and so every bit, is fixed.
// Traffic   reads 4 count size bytes, writes 4 size (or reads them too)
// Bound     memory, or L2, where the parts just were
// H200      measured only together with the filter gradients that write the parts (conv_wgmma_filter.cuh,
//           conv_wgmma_taps.cuh)
#include "kernels/cuda/walks/parts.cuh"

#include "kernels/cuda/plan/tiling.h"
#include "kernels/cuda/walks/pack.cuh"

namespace fp::FP_MACHINE {
namespace {

__device__ inline void add(Pack<float>& sum, const Pack<float>& v) {
    UNROLL
    for (int e = 0; e < 4; ++e) sum.v[e] += v.v[e];
}

template <int kGroups>
__global__ void __launch_bounds__(kFlatThreads, 4)
    add_parts_kernel(const float* __restrict__ parts, int count, int run, float* to, Write write, int64_t packs) {
    constexpr int kPacks = kFlatThreads / kGroups, kAtOnce = 8;
    SHARED(Pack<float>, sums, [kGroups][kPacks]);
    const int group = thread_index() / kPacks, place = thread_index() % kPacks;
    const int64_t i = int64_t(blockIdx.x) * kPacks + place;
    const int begin = group * run, end = min(begin + run, count);
    Pack<float> sum = {};
    if (i < packs) {
        const float* from = parts + 4 * (int64_t(begin) * packs + i);
        for (int part = begin; part < end; part += kAtOnce, from += 4 * kAtOnce * packs) {
            Pack<float> v[kAtOnce];
            UNROLL
            for (int j = 0; j < kAtOnce; ++j) v[j] = part + j < end ? load_pack(from + 4 * j * packs) : Pack<float>{};
            UNROLL
            for (int j = 0; j < kAtOnce; ++j) add(sum, v[j]);
        }
    }
    if constexpr (kGroups > 1) {
        sums[group][place] = sum;
        block_sync();
        if (group > 0) return;
        UNROLL
        for (int j = 1; j < kGroups; ++j) add(sum, sums[j][place]);
    }
    if (i < packs) store_gradient(to + 4 * i, sum, write);
}

template <int kGroups>
void start_groups(const Parts& parts, const Sum& sum, Stream stream) {
    const int run = int(ceil_div(parts.count, kGroups));
    const int64_t packs = parts.size / 4;
    launch(add_parts_kernel<kGroups>, {.blocks = ceil_div(packs, kFlatThreads / kGroups), .threads = kFlatThreads},
           stream, parts.data, parts.count, run, sum.to, sum.write, packs);
}

}  // namespace

void add_parts(const Parts& parts, const Sum& sum, Stream stream) {
    const int64_t packs = parts.size / 4;
    // Groups until every multiprocessor has eight blocks, or a group only eight parts.
    int groups = 1;
    while (groups < 32 && parts.count >= 16 * groups && packs * groups < kFlatThreads * 8 * kProcessors) groups *= 2;
    if (groups == 1) return start_groups<1>(parts, sum, stream);
    if (groups == 2) return start_groups<2>(parts, sum, stream);
    if (groups == 4) return start_groups<4>(parts, sum, stream);
    if (groups == 8) return start_groups<8>(parts, sum, stream);
    if (groups == 16) return start_groups<16>(parts, sum, stream);
    start_groups<32>(parts, sum, stream);
}

}  // namespace fp::FP_MACHINE
