// Column sums of a map, in two ordered stages.
//
//   sums[c] = sum_nhw x[n,h,w,c]
//
// Shapes    x (N,H,W,C)   sums (C) float32
// Threads   Sheet (kernels/tiles.h), then one warp a channel
// Traffic   x once
// Bound     memory
// Model     (bench/gpu/run --model: H200, bf16, batch 256) 64 channels at 56x56: 30 us; the floor is 24
#include "kernels/cuda/columns.cuh"

#include "kernels/cuda/sheet.cuh"

namespace fp::FP_MACHINE {
namespace {

template <class A>
__global__ void chunk_sums_kernel(const A* __restrict__ x,
                                  Sheet sheet,
                                  float* __restrict__ partial) {
    constexpr int kSize = Pack<A>::kSize;
    const SheetPlace at(sheet);
    float sums[kSize] = {};
    if (at.inside)
        for (int64_t row = at.first; row < at.end; row += Sheet::kDown) {
            const Pack<A> v = load_pack(x + (row * sheet.packs + at.pack) * kSize);
            UNROLL
            for (int e = 0; e < kSize; ++e) sums[e] += v.v[e];
        }
    sum_down(sums);
    if (!at.inside || thread_index() >= Sheet::kAcross) return;
    for (int e = 0; e < kSize; ++e)
        stg(partial + (int64_t(blockIdx.x) * sheet.packs + at.pack) * kSize + e, sums[e]);
}

__global__ void finish_sums_kernel(const float* __restrict__ partial,
                                   Sheet sheet,
                                   int channels,
                                   int stored,
                                   float* sums,
                                   Write write) {
    const int c = channel_index();
    if (c >= stored) return;  // whole warps
    const double sum = sum_chunks(partial + c, stored, sheet.chunks());
    if (lane_index() != 0) return;
    const double before = write == Write::add ? double(ldg(sums + c)) : 0.0;
    stg(sums + c, c < channels ? float(before + sum) : 0.0f);
}

template <class A>
void sum(const Map& m, const A* x, float* sums, Write write, void* scratch, Stream stream) {
    const Sheet on = sheet_of(m, Pack<A>::kSize);
    auto* partial = static_cast<float*>(scratch);
    launch(chunk_sums_kernel<A>, sheet_grid(on), stream, x, on, partial);
    launch(finish_sums_kernel, channel_grid(m.stored_c()), stream, partial, on, m.c, m.stored_c(),
           sums, write);
}

}  // namespace

size_t column_sums_scratch_bytes(const Map& m) {  // float32 has the most chunks
    return size_t(sheet_of(m, 4).chunks()) * size_t(m.stored_c()) * sizeof(float);
}
void column_sums(
    const Map& m, const float* x, float* sums, Write write, void* scratch, Stream stream) {
    sum(m, x, sums, write, scratch, stream);
}
void column_sums(
    const Map& m, const bf16* x, float* sums, Write write, void* scratch, Stream stream) {
    sum(m, x, sums, write, scratch, stream);
}

}  // namespace fp::FP_MACHINE
