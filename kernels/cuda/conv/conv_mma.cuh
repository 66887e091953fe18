// Convolution on the tensor cores through mma.sync, in bf16 or TF32 with float32 sums: the same three matrix products
// as conv_f32.cuh.
//
//   forward          M = NPQ pixels         N = K     sum over RSC      A, B: LinesOfK, LinesOfK
//   backward_data    M = pixels of a class  N = C     sum over taps K   A, B: LinesOfK, KOfLines
//   backward_filter  M = K                  N = RSC   sum over NPQ      A, B: KOfLines, KOfLines
//
// Operands  x, dy and w are read as stored, in one of the two panel layouts of mma_tile.cuh; nothing is transposed in
//           memory. Channels are copied in units of 16 bytes, which channel padding fills exactly. A unit lies within
//           one tap whatever the channel count, so the sum runs over taps x channels without gaps, and 72 channels cost
//           as much as 72. The 4 channels of an image are 8 bytes of bf16; units are then half as long.
// Threads   MmaTile (mma_tile.cuh), 256 per block; tiling.h chooses the tile from the shape
// Traffic   from L2 a block reads its rows and columns once per step; HBM traffic is bytes(2) (TF32: bytes(4)) when
//           tiles that run at the same time share them. Rounding the weights to bf16 writes them once more, in half the
//           bytes.
// Moments   of forward's output: each thread accumulates the columns it stores, and the threads of a column are
//           combined through shared memory. A tile writes 8 bytes per column where reading y again would cost 2 kM
//           (TF32: 4 kM).
// Bound     compute from about 64 channels on, memory for 1x1. Model (tiling.h): forward in bf16, 3x3 of 128 channels
//           at 28x28, batch 256: 191 us at 40 % of the peak, the share expected of mma.sync; the lower bound is 75 us,
//           which needs wgmma. test_tiles.cpp checks the model against this.
#pragma once

#include "kernels/cuda/conv/conv.cuh"
#include "kernels/cuda/plan/tiling.h"
#include "kernels/cuda/products/mma_tile.cuh"
#include "kernels/cuda/walks/columns.cuh"
#include "kernels/cuda/walks/moments.cuh"

namespace fp::FP_MACHINE {

// Copies kUnit elements, 16 or 8 bytes.
template <class Element, int kUnit>
__device__ void copy_unit(Element* to, const Element* from, bool valid) {
    if constexpr (kUnit * sizeof(Element) == 16)
        cp_async16(to, from, valid);
    else
        cp_async8(to, from, valid);
}

// The units of a panel that one thread copies in every stage: one column of units, every kRowStep-th row.
template <int kRows, int kUnitsPerRow>
struct CopyShare {
    static constexpr int kRowStep = 256 / kUnitsPerRow;
    static constexpr int kCopies = kRows > kRowStep ? kRows / kRowStep : 1;
    static_assert(kRows % kRowStep == 0 || kCopies == 1);
    int unit = thread_index() % kUnitsPerRow, row = thread_index() / kUnitsPerRow;
    __device__ int row_of(int copy) const { return row + copy * kRowStep; }
    __device__ bool takes_part() const { return row < kRows; }
};

constexpr int kNoMap = -(1 << 30);  // as a pixel's row: so far above the map that no tap reaches it

template <class T, int kUnit>
struct TensorForwardSource {
    using Element = typename T::Element;
    using A = LinesOfK<typename T::Type, T::kM>;
    using B = LinesOfK<typename T::Type, T::kN>;
    static constexpr int kUnits = T::kDepth / kUnit;
    using ShareA = CopyShare<T::kM, kUnits>;
    using ShareB = CopyShare<T::kN, kUnits>;

    const ConvSizes& g;
    const Element *x, *w;
    ShareA a;
    ShareB b;
    int64_t corner[ShareA::kCopies];  // for each row's pixel, what tap (0,0) reads: offset in x, row, column
    int top[ShareA::kCopies], left[ShareA::kCopies];
    int first_filter;
    int r, s, c, k;  // the next tap and channel, and their offset in a filter

    __device__ TensorForwardSource(
        const ConvSizes& g_, const Element* x_, const Element* w_, int first_pixel, int first_filter_)
        : g(g_), x(x_), w(w_), first_filter(first_filter_) {
        UNROLL
        for (int i = 0; i < ShareA::kCopies; ++i) {
            const int pixel = first_pixel + a.row_of(i);
            const int image = pixel / g.q / g.p;
            top[i] = pixel / g.q % g.p * g.stride - g.pad;
            left[i] = pixel % g.q * g.stride - g.pad;
            corner[i] = ((int64_t(image) * g.h + top[i]) * g.w + left[i]) * g.c;
            if (pixel >= g.pixels_out()) top[i] = kNoMap;
        }
        r = s = 0;
        c = k = a.unit * kUnit;
        wrap();
    }
    __device__ void wrap() {
        while (c >= g.c) {
            c -= g.c;
            if (++s == g.s) s = 0, ++r;
        }
    }
    __device__ void copy(Element* to_a, Element* to_b) {
        const int tap = (r * g.w + s) * g.c + c;
        UNROLL
        for (int i = 0; i < ShareA::kCopies; ++i) {
            const bool valid = r < g.r && unsigned(top[i] + r) < unsigned(g.h) && unsigned(left[i] + s) < unsigned(g.w);
            if (a.takes_part())
                copy_unit<Element, kUnit>(A::at(to_a, a.row_of(i), a.unit * kUnit), x + (valid ? corner[i] + tap : 0),
                                          valid);
        }
        UNROLL
        for (int i = 0; i < ShareB::kCopies; ++i) {
            const int filter = first_filter + b.row_of(i);
            const bool valid = filter < g.k && k < g.taps_c();
            if (b.takes_part())
                copy_unit<Element, kUnit>(B::at(to_b, b.row_of(i), b.unit * kUnit),
                                          w + (valid ? int64_t(filter) * g.taps_c() + k : 0), valid);
        }
        c += T::kDepth;
        k += T::kDepth;
        wrap();
    }
};

template <class T, int kUnit>
__global__ void __launch_bounds__(T::kThreads, 2)
    tensor_forward_kernel(const __grid_constant__ ConvSizes g,
                          const typename T::Element* __restrict__ x,
                          const typename T::Element* __restrict__ w,
                          const float* __restrict__ bias,
                          const typename T::Element* __restrict__ residual,
                          bool relu,
                          typename T::Element* __restrict__ y,
                          const __grid_constant__ MomentsOut moments) {
    DYN_SHARED(unsigned char, shared);
    using Source = TensorForwardSource<T, kUnit>;
    using Element = typename T::Element;
    constexpr int kSize = Pack<Element>::kSize;
    const int first_pixel = int(blockIdx.x) * T::kM, first_filter = int(blockIdx.y) * T::kN;
    Source source(g, x, w, first_pixel, first_filter);
    typename T::Sums sums = {};
    const int steps = (g.taps_c() + T::kDepth - 1) / T::kDepth;
    T::template accumulate<typename Source::A, typename Source::B>(source, steps, shared, sums);

    constexpr int kAcross = T::kN / kSize;  // packs per row: a thread stores the same one of every row
    RowMoments<kSize> seen;
    T::template for_outputs<kSize>(sums, shared, [&](int row, int column, const float(&v)[kSize]) {
        const int pixel = first_pixel + row, k = first_filter + column;
        if (pixel >= g.pixels_out() || k >= g.y_c) return;
        const int64_t offset = int64_t(pixel) * g.y_c + k;
        Pack<Element> out;
        for (int e = 0; e < kSize; ++e) out.v[e] = v[e];
        if (bias) {
            const Pack<Element> add = load_channels<Element>(bias, k / kSize);
            for (int e = 0; e < kSize; ++e) out.v[e] += add.v[e];
        }
        if (residual) {
            const Pack<Element> add = load_pack(residual + offset);
            for (int e = 0; e < kSize; ++e) out.v[e] += add.v[e];
        }
        if (relu)
            for (float& e : out.v) e = e <= 0 ? 0 : e;
        store_pack(y + offset, out);
        if (moments.data) {
            round_to_stored(out);
            seen.add(out.v);
        }
    });
    if (!moments.data) return;
    constexpr int kDown = T::kThreads / kAcross;
    auto* parts = reinterpret_cast<ColumnMoments(*)[T::kN]>(shared);
    static_assert(kDown * sizeof(*parts) <= T::template kSharedBytes<typename Source::A, typename Source::B>);
    block_sync();  // no thread reads the tile any more
    for (int e = 0; e < kSize; ++e)
        parts[thread_index() / kAcross][thread_index() % kAcross * kSize + e] = seen.column(e);
    block_sync();
    store_joined<kDown, T::kN>([&](int i) { return parts[i]; }, thread_index(), g.y_c - first_filter, first_filter,
                               moments);
}

}  // namespace fp::FP_MACHINE
