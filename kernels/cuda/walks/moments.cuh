// Statistics of a tile of a convolution's outputs, taken from registers, for the batch norm that follows (Moments): per
// column the mean and the sum of squared deviations from it, of the values as stored.
//
// Accuracy  A thread accumulates its few rows about the first of them. The partial sums are then combined as counts,
//           means and squared deviations (Chan, Golub, LeVeque 1983), so a mean far from 0 loses no digits: the
//           relative error of the variance is about 2^-24 (1 + |mean| / deviation), no more than rounding the mean to
//           float32 causes.
// Order     rows ascend within a thread, then threads in order: the bits are the same in every run
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

// One thread's rows of kColumns columns.
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

// Where the moments are written: data[column][2][chunk], null if none are wanted; `counts` as in Moments::counts.
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

// Rounds to the value that will be stored.
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

// Combines and stores the partial moments of a block's kColumns columns, one thread per column. part_of(i) points to
// part i in shared memory; a barrier comes before the call. Columns from `width` on do not exist.
template <int kParts, int kColumns, class PartOf>
__device__ void store_joined(PartOf part_of, int thread, int width, int first_column, const MomentsOut& to) {
    if (thread >= min(kColumns, width)) return;
    ColumnMoments all{};
    for (int i = 0; i < kParts; ++i) all.join(part_of(i)[thread]);
    to.store(first_column + thread, blockIdx.x, all);
}

}  // namespace fp::FP_MACHINE
