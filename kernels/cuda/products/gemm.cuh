// A block's tile of a matrix product in float32 on the ordinary cores: C[m,n] = sum_k A[m,k] B[k,n].
//
// Threads   256 as 16 x 16. A thread computes (kM/64 x 4) rows by (kN/64 x 4) columns, in groups of four that are 64
//           apart. A warp is 4 x 8 threads: in a 128 x 128 tile it reads 128 + 256 bytes of shared memory per k, for
//           2048 multiply-adds.
// Pipeline  steps of 8 along k. While a step is computed, the next step's numbers are loaded from global memory into
//           registers, and then written to the other of two buffers, with one barrier per step.
// Order     k ascends, whatever the grid, so that every run gives the same bits
// Source    fetch() loads this thread's share of the next step into registers, place(a, b) writes it to the buffers
//           a[k][m], b[k][n].
#pragma once

#include "kernels/cuda/walks/pack.cuh"

namespace fp::FP_MACHINE {

// The term that a pair of elements adds to the sum.
struct Product {
    __device__ static float add(float a, float b, float sum) { return fused_multiply_add(a, b, sum); }
};
struct SquaredDifference {
    __device__ static float add(float a, float b, float sum) { return fused_multiply_add(a - b, a - b, sum); }
};

template <int kM_, int kN_, class Term = Product>
struct GemmTile {
    static constexpr int kM = kM_, kN = kN_, kK = 8, kThreads = 256;
    static constexpr int kRowGroups = kM / 64, kColumnGroups = kN / 64;
    static constexpr int kRows = 4 * kRowGroups, kColumns = 4 * kColumnGroups;

    using A = float[kK][kM + 4];  // 4 of padding: transposed writes then hit different banks
    using B = float[kK][kN + 4];
    using Sums = float[kRows][kColumns];

    static constexpr int kThreadRows = 16;
    __device__ static int thread_row() { return warp_index() / 2 * 4 + lane_index() / 8; }
    __device__ static int first_row() { return thread_row() * 4; }
    __device__ static int first_column() { return (warp_index() % 2 * 8 + lane_index() % 8) * 4; }
    __device__ static int row(int i) { return first_row() + i / 4 * 64 + i % 4; }
    __device__ static int column_group(int j) { return first_column() + j * 64; }

    __device__ static void multiply(const A& a, const B& b, Sums& sums) {
        UNROLL
        for (int k = 0; k < kK; ++k) {
            float row_values[kRows], column_values[kColumns];
            UNROLL
            for (int g = 0; g < kRowGroups; ++g) read4(&a[k][first_row() + 64 * g], row_values + 4 * g);
            UNROLL
            for (int g = 0; g < kColumnGroups; ++g) read4(&b[k][first_column() + 64 * g], column_values + 4 * g);
            UNROLL
            for (int i = 0; i < kRows; ++i) {
                UNROLL
                for (int j = 0; j < kColumns; ++j) sums[i][j] = Term::add(row_values[i], column_values[j], sums[i][j]);
            }
        }
    }

    template <class Source>
    __device__ static void accumulate(Source& source, int steps, Sums& sums) {
        SHARED(A, a, [2]);
        SHARED(B, b, [2]);
        if (steps == 0) return;
        source.fetch();
        source.place(a[0], b[0]);
        block_sync();
        for (int step = 0; step < steps; ++step) {
            const int now = step % 2, next = 1 - now;
            const bool more = step + 1 < steps;
            if (more) source.fetch();
            multiply(a[now], b[now], sums);
            if (more) source.place(a[next], b[next]);
            block_sync();
        }
    }

    // Calls store(row, column, pack) for every four neighbouring outputs of this thread, and over(column) after the
    // last row of each four columns.
    template <class Store, class Over>
    __device__ static void for_outputs(const Sums& sums, Store store, Over over) {
        UNROLL
        for (int j = 0; j < kColumnGroups; ++j) {
            UNROLL
            for (int i = 0; i < kRows; ++i) {
                const float* four = sums[i] + 4 * j;
                store(row(i), column_group(j), Pack<float>{{four[0], four[1], four[2], four[3]}});
            }
            over(column_group(j));
        }
    }
    template <class Store>
    __device__ static void for_outputs(const Sums& sums, Store store) {
        for_outputs(sums, store, [](int) {});
    }

private:
    __device__ static void read4(const float* from, float* to) {
        const float4 four = *reinterpret_cast<const float4*>(from);
        to[0] = four.x;
        to[1] = four.y;
        to[2] = four.z;
        to[3] = four.w;
    }
};

// The four numbers of a step's 8 x kLines panel that a thread loads, and where it writes them. AlongK: four k of one
// line, written transposed. AlongLines: four lines of one k. A line is a row of A or a column of B.
template <int kLines>
struct AlongK {
    int line = thread_index() / 2, k = thread_index() % 2 * 4;
    Pack<float> v;
    __device__ static constexpr bool takes_part(int thread) { return thread < 2 * kLines; }
    template <class Panel>
    __device__ void place(Panel& panel) const {
        if (!takes_part(thread_index())) return;
        UNROLL
        for (int i = 0; i < 4; ++i) panel[k + i][line] = v.v[i];
    }
};
template <int kLines>
struct AlongLines {
    int line = thread_index() % (kLines / 4) * 4, k = thread_index() / (kLines / 4);
    Pack<float> v;
    __device__ static constexpr bool takes_part(int thread) { return thread < 2 * kLines; }
    template <class Panel>
    __device__ void place(Panel& panel) const {
        if (!takes_part(thread_index())) return;
        *reinterpret_cast<float4*>(&panel[k][line]) = float4{v.v[0], v.v[1], v.v[2], v.v[3]};
    }
};

}  // namespace fp::FP_MACHINE
