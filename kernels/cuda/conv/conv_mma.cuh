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

// ---- forward

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

// ---- backward_data

template <class T>
struct TensorDataSource {
    using Element = typename T::Element;
    static constexpr int kUnit = T::Type::kChunk;
    using A = LinesOfK<typename T::Type, T::kM>;
    using B = KOfLines<typename T::Type, T::kN>;
    using ShareA = CopyShare<T::kM, T::kDepth / kUnit>;
    using ShareB = CopyShare<T::kDepth, T::kN / kUnit>;

    struct Term {  // a position in the sum: filter k at tap (i, j) of the class
        int i, j, k;
        __device__ void settle(int filters, int taps_s) {
            while (k >= filters) {
                k -= filters;
                if (++j == taps_s) j = 0, ++i;
            }
        }
    };

    const ConvSizes& g;
    const ParityClass& of;
    const Element *dy, *w;
    ShareA a;
    ShareB b;
    int64_t corner[ShareA::kCopies];  // for each row's pixel, what the class's tap (0,0) reads: offset in dy
    int row[ShareA::kCopies], column[ShareA::kCopies];
    int channel;
    Term term_a, term_b[ShareB::kCopies];

    __device__ TensorDataSource(const ConvSizes& g_,
                                const ParityClass& of_,
                                const Element* dy_,
                                const Element* w_,
                                int first_pixel,
                                int first_channel)
        : g(g_), of(of_), dy(dy_), w(w_) {
        const int area = of.rows * of.columns;
        UNROLL
        for (int i = 0; i < ShareA::kCopies; ++i) {
            const int pixel = first_pixel + a.row_of(i);
            row[i] = pixel % area / of.columns + of.p_shift;
            column[i] = pixel % of.columns + of.q_shift;
            corner[i] = ((int64_t(pixel / area) * g.p + row[i]) * g.q + column[i]) * g.y_c;
            if (pixel >= g.n * area) row[i] = kNoMap;
        }
        channel = first_channel + b.unit * kUnit;
        term_a = {0, 0, a.unit * kUnit};
        term_a.settle(g.y_c, of.taps_s);
        UNROLL
        for (int i = 0; i < ShareB::kCopies; ++i) {
            term_b[i] = {0, 0, b.row_of(i)};
            term_b[i].settle(g.y_c, of.taps_s);
        }
    }
    __device__ void copy(Element* to_a, Element* to_b) {
        const int term = term_a.k - (term_a.i * g.q + term_a.j) * g.y_c;
        UNROLL
        for (int i = 0; i < ShareA::kCopies; ++i) {
            const bool valid = term_a.i < of.taps_r && unsigned(row[i] - term_a.i) < unsigned(g.p) &&
                               unsigned(column[i] - term_a.j) < unsigned(g.q);
            if (a.takes_part())
                copy_unit<Element, kUnit>(A::at(to_a, a.row_of(i), a.unit * kUnit), dy + (valid ? corner[i] + term : 0),
                                          valid);
        }
        term_a.k += T::kDepth;
        term_a.settle(g.y_c, of.taps_s);
        UNROLL
        for (int i = 0; i < ShareB::kCopies; ++i) {
            Term& t = term_b[i];
            const bool valid = t.k < g.k && t.i < of.taps_r && channel < g.c;
            const int tap = (of.first_r + t.i * g.stride) * g.s + of.first_s + t.j * g.stride;
            const int64_t offset = valid ? (int64_t(t.k) * g.r * g.s + tap) * g.c + channel : 0;
            if (b.takes_part()) copy_unit<Element, kUnit>(B::at(to_b, b.unit * kUnit, b.row_of(i)), w + offset, valid);
            t.k += T::kDepth;
            t.settle(g.y_c, of.taps_s);
        }
    }
};

template <class T>
__global__ void __launch_bounds__(T::kThreads, 2) tensor_data_kernel(const __grid_constant__ ConvSizes g,
                                                                     const __grid_constant__ ParityClasses classes,
                                                                     const typename T::Element* __restrict__ dy,
                                                                     const typename T::Element* __restrict__ w,
                                                                     typename T::Element* dx,
                                                                     Write write) {
    DYN_SHARED(unsigned char, shared);
    using Source = TensorDataSource<T>;
    using Element = typename T::Element;
    constexpr int kSize = Pack<Element>::kSize;
    const ParityClass& of = classes.at[blockIdx.z];
    const int first_pixel = int(blockIdx.x) * T::kM, first_channel = int(blockIdx.y) * T::kN;
    const int area = of.rows * of.columns;
    if (first_pixel >= g.n * area) return;  // classes differ in size; the whole block leaves
    Source source(g, of, dy, w, first_pixel, first_channel);
    typename T::Sums sums = {};
    const int depth = of.taps_r * of.taps_s * g.y_c;
    T::template accumulate<typename Source::A, typename Source::B>(source, (depth + T::kDepth - 1) / T::kDepth, shared,
                                                                   sums);

    T::template for_outputs<kSize>(sums, shared, [&](int line, int column, const float(&v)[kSize]) {
        const int pixel = first_pixel + line, c = first_channel + column;
        if (pixel >= g.n * area || c >= g.c) return;
        const int h = pixel % area / of.columns * g.stride + of.row_class;
        const int x = pixel % of.columns * g.stride + of.column_class;
        const int64_t place = (int64_t(pixel / area) * g.h + h) * g.w + x;
        Pack<Element> out;
        for (int e = 0; e < kSize; ++e) out.v[e] = v[e];
        store_gradient(dx + place * g.c + c, out, write);
    });
}

// ---- backward_filter

template <class T, int kUnit>
struct TensorFilterSource {
    using Element = typename T::Element;
    static constexpr int kUnitA = T::Type::kChunk;
    using A = KOfLines<typename T::Type, T::kM>;
    using B = KOfLines<typename T::Type, T::kN>;
    using ShareA = CopyShare<T::kDepth, T::kM / kUnitA>;
    using ShareB = CopyShare<T::kDepth, T::kN / kUnit>;

    const ConvSizes& g;
    const Element *x, *dy;
    ShareA a;
    ShareB b;
    int filter, column, channel, top, left;  // of this thread's units; top, left: the offset of the column's tap
    int begin, end;
    PixelPlace place;  // the first pixel of this thread in b's next stage
    PixelStep stage_step, row_step;

    __device__ TensorFilterSource(const ConvSizes& g_,
                                  const Element* x_,
                                  const Element* dy_,
                                  int begin_,
                                  int end_,
                                  int first_filter,
                                  int first_column)
        : g(g_),
          x(x_),
          dy(dy_),
          begin(begin_),
          end(end_),
          place(g_, begin_ + ShareB().row),
          stage_step(PixelStep::of(g_, T::kDepth)),
          row_step(PixelStep::of(g_, ShareB::kRowStep)) {
        filter = first_filter + a.unit * kUnitA;
        column = first_column + b.unit * kUnit;
        channel = column % g.c;
        top = column / g.c / g.s - g.pad;
        left = column / g.c % g.s - g.pad;
    }
    __device__ void copy(Element* to_a, Element* to_b) {
        UNROLL
        for (int i = 0; i < ShareA::kCopies; ++i) {
            const int pixel = begin + a.row_of(i);
            const bool valid = pixel < end && filter < g.y_c;
            const int64_t offset = valid ? int64_t(pixel) * g.y_c + filter : 0;
            if (a.takes_part())
                copy_unit<Element, kUnitA>(A::at(to_a, a.unit * kUnitA, a.row_of(i)), dy + offset, valid);
        }
        PixelPlace at = place;
        UNROLL
        for (int i = 0; i < ShareB::kCopies; ++i) {
            const int h = at.p * g.stride + top, w = at.q * g.stride + left;
            const bool valid = begin + b.row_of(i) < end && column < g.taps_c() && unsigned(h) < unsigned(g.h) &&
                               unsigned(w) < unsigned(g.w);
            const int64_t offset = valid ? ((int64_t(at.n) * g.h + h) * g.w + w) * g.c + channel : 0;
            if (b.takes_part()) copy_unit<Element, kUnit>(B::at(to_b, b.unit * kUnit, b.row_of(i)), x + offset, valid);
            if (i + 1 < ShareB::kCopies) at.advance(g, row_step);
        }
        begin += T::kDepth;
        place.advance(g, stage_step);
    }
};

// `out`: dw where the sum is not split, else partial sums [part][K][RSC].
template <class T, int kUnit>
__global__ void __launch_bounds__(T::kThreads, 2) tensor_filter_kernel(const __grid_constant__ ConvSizes g,
                                                                       const typename T::Element* __restrict__ x,
                                                                       const typename T::Element* __restrict__ dy,
                                                                       float* out,
                                                                       Write write,
                                                                       Split split) {
    DYN_SHARED(unsigned char, shared);
    using Source = TensorFilterSource<T, kUnit>;
    const int first_filter = int(blockIdx.x) * T::kM, first_column = int(blockIdx.y) * T::kN;
    const int begin = int(blockIdx.z) * int(split.part);
    const int end = min(begin + int(split.part), int(split.length));
    Source source(g, x, dy, begin, end, first_filter, first_column);
    typename T::Sums sums = {};
    T::template accumulate<typename Source::A, typename Source::B>(source, (end - begin + T::kDepth - 1) / T::kDepth,
                                                                   shared, sums);

    float* part = out + int64_t(blockIdx.z) * g.k * g.taps_c();
    T::template for_outputs<4>(sums, shared, [&](int row, int column, const float(&v)[4]) {
        const int k = first_filter + row, rsc = first_column + column;
        if (k < g.k && rsc < g.taps_c())
            store_gradient(part + int64_t(k) * g.taps_c() + rsc, Pack<float>{{v[0], v[1], v[2], v[3]}}, write);
    });
}

}  // namespace fp::FP_MACHINE
