// Statistics of a tile of outputs while a convolution has them at hand, for the batch norm behind it: of each
// column the mean and the sum of squares about it, of the values as they are stored.
//
// Accuracy  A thread sums its few rows about the first of them; such sums are then joined as counts, means and
//           squares (Chan, Golub, LeVeque 1983), so a mean far from 0 costs no digits: the variance is off by
//           some 2^-24 (1 + |mean| / deviation), which is what rounding the mean to float32 costs xhat anyway.
// Order     rows ascend within a thread, threads in order: the same bits every time
#pragma once

#include "kernels/cuda/walks/pack.cuh"

namespace fp::FP_MACHINE {

struct ColumnMoments {
    float count, mean, square;

    __device__ void join(const ColumnMoments& o) {
        if (o.count == 0) return;
        const float all = count + o.count, d = o.mean - mean;
        mean += d * (o.count / all);
        square += o.square + d * d * (count * (o.count / all));
        count = all;
    }
};

// What one thread sees of kColumns columns.
template <int kColumns>
struct RowMoments {
    float count = 0, base[kColumns] = {}, sum[kColumns] = {}, square[kColumns] = {};

    __device__ void add(const float (&v)[kColumns]) {
        const bool first = count == 0;
        UNROLL
        for (int e = 0; e < kColumns; ++e) {
            if (first) base[e] = v[e];
            const float d = v[e] - base[e];
            sum[e] += d;
            square[e] += d * d;
        }
        count += 1;
    }
    __device__ ColumnMoments column(int e) const {
        const float mean = count > 0 ? sum[e] / count : 0;
        return {count, base[e] + mean, square[e] - sum[e] * mean};
    }
};

// Where they go: `data` is null where nobody wants them, else [column][2][chunk]; `counts` of chunks that hold a number
// of pixels of their own (kernels.h, Moments).
struct MomentsOut {
    float* data;
    int64_t chunks;
    float* counts = nullptr;

    static MomentsOut of(const Moments& moments, const Map& y) {
        return {.data = static_cast<float*>(moments.data),
                .chunks = moments.data ? Moments::chunks(y, moments.rows) : 0,
                .counts = moments.counts(y)};
    }
    __device__ void store(int column, int64_t chunk, const ColumnMoments& m) const {
        float* to = data + column * 2 * chunks + chunk;
        stg(to, m.mean);
        stg(to + chunks, m.square);
    }
};

// As it will be stored.
template <class A>
__device__ void round_to_stored(Pack<A>& v) {
    if constexpr (sizeof(A) == 2) {
        UNROLL
        for (int e = 0; e < Pack<A>::kSize; e += 2) {
            const uint32_t pair = pack_bf16(v.v[e], v.v[e + 1]);
            v.v[e] = to_float(bf16{uint16_t(pair)});
            v.v[e + 1] = to_float(bf16{uint16_t(pair >> 16)});
        }
    }
}

// A block's parts of its tile's kColumns columns, joined and stored by one thread a column: part_of(i) points to
// those of part i in shared memory, behind a barrier. Columns from `width` on are nobody's.
template <int kParts, int kColumns, class PartOf>
__device__ void store_joined(
    PartOf part_of, int thread, int width, int first_column, const MomentsOut& to) {
    if (thread >= min(kColumns, width)) return;
    ColumnMoments all{};
    for (int i = 0; i < kParts; ++i) all.join(part_of(i)[thread]);
    to.store(first_column + thread, blockIdx.x, all);
}

}  // namespace fp::FP_MACHINE
