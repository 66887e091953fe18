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

// Threads of a kernel that sums the parts of columns: a block has 8 columns, 32 bytes of a part, by 64 rows. A thread
// sums every 64th part in order, with kLoads parts in flight.
struct PartColumns {
    static constexpr int kThreads = 512, kColumns = 8, kRows = kThreads / kColumns, kLoads = 8;

    int in_block = thread_index() % kColumns, row = thread_index() / kColumns;
    int column = int(blockIdx.x) * kColumns + in_block;

    static Grid grid(int64_t columns, const Place& at = Place::current()) {
        return {.blocks = ceil_div(columns, kColumns), .threads = kThreads, .at = at};
    }
    // Calls body(first) for each run of kLoads parts of the thread: first, first + kRows, ..
    template <class Body>
    __device__ __forceinline__ void for_parts(int parts, Body body) const {
        for (int first = row; first < parts; first += kRows * kLoads) body(first);
    }
    // Sums `v` over the rows, in a fixed order. All threads call it; true in the threads of row 0, which then hold the
    // sums.
    template <int kValues>
    __device__ __forceinline__ bool sum_rows(double (&v)[kValues]) const {
        SHARED(double, of_row, [kValues][kRows][kColumns]);
        UNROLL
        for (int i = 0; i < kValues; ++i) of_row[i][row][in_block] = v[i];
        block_sync();
        constexpr int kLast = kWarp / kColumns;  // one warp: 4 threads per column, 16 rows each
        if (row >= kLast) return false;
        UNROLL
        for (int i = 0; i < kValues; ++i) {
            double sum = 0;
            for (int r = row; r < kRows; r += kLast) sum += of_row[i][r][in_block];
            sum += shuffle_xor(sum, kColumns);
            v[i] = sum + shuffle_xor(sum, 2 * kColumns);
        }
        return row == 0;
    }
};

}  // namespace fp::FP_MACHINE
