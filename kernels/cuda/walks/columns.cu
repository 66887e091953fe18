// Column sums of a map, in two ordered stages.
//
//   sums[c] = sum_nhw x[n,h,w,c]
//
// Shapes    x (N,H,W,C)   sums (C) float32, per chunk [chunk][kind][C]
// Threads   a Swath (swath.cuh) leaves the sums of each chunk. add_chunks_kernel: PartColumns, 8 columns by 64 rows of
//           chunks; a thread keeps eight loads in flight and sums in double, and the 64 sums of a column are added in
//           order.
// Traffic   x once; 4 C bytes per chunk, of at most 396 chunks, all of which are resident at once
// Bound     memory: 64 channels at 56x56, bf16, batch 256 are 103 MB, 24 us at 4.3 TB/s
// Needs     a map of at most Swath::kMostPacks packs
// Measured  no figure: the time above is the model's
#include "kernels/cuda/walks/columns.cuh"

#include "kernels/cuda/walks/swath.cuh"

namespace fp::FP_MACHINE {
namespace {

template <class A>
__global__ void __launch_bounds__(Swath::kThreads, Swath::kResident)
    chunk_sums_kernel(const A* __restrict__ x, Swath swath, float* __restrict__ partial) {
    constexpr int kSize = Pack<A>::kSize;
    using Shared = SlotsThenSums<1, kSize>;
    SHARED(Shared, shared, );
    const SwathPlace at = place_on(swath);
    SwathRing<1> ring(shared.slots, {{x}}, at);
    float sums[kSize] = {};
    ring.walk([&](int, const uint4(&raw)[1], unsigned) {
        const Pack<A> v = unpacked<A>(raw[0]);
        UNROLL
        for (int e = 0; e < kSize; ++e) sums[e] += v.v[e];
    });
    const int first = swath.group_of(int(blockIdx.x)) * swath.across;
    sum_rows(sums, shared.room, swath.across, swath.down, [&](int across, int e, float sum) {
        if (first + across < swath.packs)
            stg(partial + (int64_t(at.chunk) * swath.packs + first + across) * kSize + e, sum);
    });
}

__global__ void __launch_bounds__(PartColumns::kThreads) add_chunks_kernel(const float* __restrict__ partial,
                                                                           int chunks,
                                                                           double pixels,
                                                                           int channels,
                                                                           int stored,
                                                                           int kinds,
                                                                           ColumnTotals to) {
    const PartColumns at;
    const int column = at.column, columns = kinds * stored;
    double sums[1] = {};
    if (column < columns)
        at.for_parts(chunks, [&](int first) {
            float v[PartColumns::kLoads];
            UNROLL
            for (int k = 0; k < PartColumns::kLoads; ++k) {
                const int i = first + k * PartColumns::kRows;
                v[k] = i < chunks ? ldg(partial + int64_t(i) * columns + column) : 0;
            }
            UNROLL
            for (int k = 0; k < PartColumns::kLoads; ++k) sums[0] += double(v[k]);
        });
    if (!at.sum_rows(sums) || column >= columns) return;
    const double sum = sums[0];
    if (to.means) stg(to.means + column, float(sum / pixels));
    const int kind = column / stored, c = column % stored;
    UNROLL
    for (int i = 0; i < 2; ++i) {
        float* slot = kind == 0 ? to.sums[0][i] : kind == 1 ? to.sums[1][i] : to.sums[2][i];
        if (!slot) continue;
        const float before = to.write == Write::add ? ldg(slot + c) : 0.0f;
        stg(slot + c, c < channels ? before + float(sum) : 0.0f);
    }
}

template <class A>
void sum(const Map& m, const A* x, const Sum& sums, void* scratch, Stream stream) {
    const Swath swath = swath_of_sums(m, Pack<A>::kSize);
    auto* partial = static_cast<float*>(scratch);
    launch(chunk_sums_kernel<A>, swath_grid(swath), stream, x, swath, partial);
    add_chunks(m, {.sums = partial, .chunks = swath.chunks(), .kinds = 1}, {.sums = {{sums.to}}, .write = sums.write},
               stream);
}

}  // namespace

void add_chunks(const Map& m, const ColumnChunks& of, const ColumnTotals& to, Stream stream) {
    const int stored = m.stored_c();
    launch(add_chunks_kernel, PartColumns::grid(int64_t(of.kinds) * stored), stream, of.sums, int(of.chunks),
           double(m.n) * double(m.pixels()), m.c, stored, of.kinds, to);
}

size_t column_sums_scratch_bytes(const Map& m, int element_bytes) {
    return size_t(swath_of_sums(m, 16 / element_bytes).chunks()) * size_t(m.stored_c()) * sizeof(float);
}
void column_sums(const Map& m, const float* x, const Sum& sums, void* scratch, Stream stream) {
    sum(m, x, sums, scratch, stream);
}
void column_sums(const Map& m, const bf16* x, const Sum& sums, void* scratch, Stream stream) {
    sum(m, x, sums, scratch, stream);
}

}  // namespace fp::FP_MACHINE
