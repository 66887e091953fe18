// Column sums of a map: the gradient of a bias, and the second stage of every sum per channel.
#pragma once

#include "kernels/cuda/walks/parts.cuh"

namespace fp::FP_MACHINE {

// sums[c] = (or +=) the sum over n, h, w of x[n,h,w,c], in float32; zero in the padding.
size_t column_sums_scratch_bytes(const Map&, int element_bytes);
void column_sums(const Map&, const float* x, const Sum& sums, void* scratch, Stream);
void column_sums(const Map&, const bf16* x, const Sum& sums, void* scratch, Stream);

// Where the sums of up to three kinds are written; null: not at all.
struct ColumnTotals {
    float* means = nullptr;  // [kind][C]: each sum divided by the number of pixels
    float* sums[3][2] = {};  // of each kind up to two vectors of C
    Write write = Write::replace;
};

// Partial sums [chunk][kind][C].
struct ColumnChunks {
    const float* sums;
    int64_t chunks;
    int kinds;
};
// Adds them, in double and in a fixed order.
void add_chunks(const Map&, const ColumnChunks&, const ColumnTotals&, Stream);

}  // namespace fp::FP_MACHINE
