// Statistics of a convolution's outputs, taken from the values as stored, for the batch norm that follows it (Moments):
// per part and column the mean and the sum of squared deviations from it.
//
// Accuracy  A thread accumulates its rows about the first of them, so a mean far from 0 loses no digits: the relative
//           error of the variance is about 2^-24 (1 + |mean| / deviation), no more than rounding the mean to float32
//           causes, times the square root of the number of rows where a thread adds many.
// Order     rows ascend within a thread, then threads in order: the bits are the same in every run
// Cost      per pair of columns and row: 2 instructions to unpack, 2 subtractions, 2 additions and 2 multiply-adds;
//           LanePair also loads the pair from shared memory. That is 4.5 instructions per output and thread.
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

// Where the moments are written; data is null if none are wanted.
struct MomentsOut {
    float *data, *counts;
    int columns;  // of a part: the stored channels

    static MomentsOut of(const Moments& moments, const Map& y) {
        if (!moments.data) return {};
        return {.data = static_cast<float*>(moments.data), .counts = moments.counts(y), .columns = y.stored_c()};
    }
    // Whoever stores column 0 of a part stores the count of the part.
    __device__ void store(int part, int column, const ColumnMoments& m) const {
        float* to = data + int64_t(part) * 2 * columns + column;
        stg(to, m.mean);
        stg(to + columns, m.square);
        if (column == 0) stg(counts + part, m.count);
    }
};

// The two bf16 numbers of a word.
__device__ inline float2 halves(uint32_t pair) {
    return {to_float(bf16{uint16_t(pair)}), to_float(bf16{uint16_t(pair >> 16)})};
}

// What a lane has accumulated of two neighbouring columns, about the first row of its warp.
struct LanePair {
    uint32_t base;  // the first row as stored, two bf16
    float2 sum, square;

    // Adds 16 rows of the warp. word_of(row) points to the lane's pair in shared memory, which no other lane accesses
    // any more. Bit r of `present` says whether row r exists; `first`: none was added before.
    template <class WordOf>
    __device__ __forceinline__ void add(WordOf word_of, unsigned present, bool first) {
        constexpr int kRows = 16;
        constexpr unsigned kAll = (1u << kRows) - 1;
        if (present == 0) return;
        if (first) base = *word_of(lowest_bit(present));
        // Rows that do not exist are given the deviation 0: one loop for all cases, which the compiler unrolls.
        for (unsigned absent = present ^ kAll; absent != 0; absent &= absent - 1) *word_of(lowest_bit(absent)) = base;
        const float2 about = halves(base);
        UNROLL
        for (int row = 0; row < kRows; ++row) {
            const float2 v = halves(*word_of(row)), d{v.x - about.x, v.y - about.y};
            sum = {sum.x + d.x, sum.y + d.y};
            square = {square.x + d.x * d.x, square.y + d.y * d.y};
        }
    }
};

// The moments of one column from such sums of kParts warps. of(i) returns part i as {count, base, sum, square}.
struct AboutBase {
    float count, base, sum, square;
};
template <int kParts, class Of>
__device__ ColumnMoments joined(Of of) {
    AboutBase all{};
    for (int i = 0; i < kParts; ++i) {
        const AboutBase part = of(i);
        if (part.count == 0) continue;
        if (all.count == 0) all.base = part.base;
        const float d = part.base - all.base, more = part.count * d;
        all.square += part.square + d * (2 * part.sum + more);
        all.sum += part.sum + more;
        all.count += part.count;
    }
    if (all.count == 0) return {};
    const float mean = all.sum / all.count;
    return {all.count, all.base + mean, all.square - all.sum * mean};
}

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
    to.store(int(blockIdx.x), first_column + thread, all);
}

}  // namespace fp::FP_MACHINE
