// The parts of a sum, in order:   sum[i] = parts[0][i] + parts[1][i] + ..      or sum[i] += that
//
// Shapes    parts (count, size)  sum (size), float32
// Threads   four numbers each, over all parts
// Traffic   reads 4 count size bytes, writes 4 size (or reads them too)
// Bound     memory, or L2, where the parts just were
// Model     2 us and 4 bytes a number of each part at the memory's rate: 26 parts of 128 x 1152 in 6 us
#include "kernels/cuda/parts.cuh"

#include "kernels/cuda/pack.cuh"

namespace fp::FP_MACHINE {
namespace {

__global__ void add_parts_kernel(
    const float* __restrict__ parts, int count, float* to, Write write, int64_t packs) {
    const int64_t i = flat_index();
    if (i >= packs) return;
    Pack<float> sum = load_pack(parts + 4 * i);
    for (int part = 1; part < count; ++part) {
        const Pack<float> v = load_pack(parts + 4 * (part * packs + i));
        UNROLL
        for (int e = 0; e < 4; ++e) sum.v[e] += v.v[e];
    }
    store_gradient(to + 4 * i, sum, write);
}

}  // namespace

void add_parts(
    const float* parts, int count, int64_t size, float* sum, Write write, Stream stream) {
    launch(add_parts_kernel, flat_grid(size / 4), stream, parts, count, sum, write, size / 4);
}

}  // namespace fp::FP_MACHINE
