// The gradients of conv_mma.cuh, whose head describes all three passes.
#pragma once

#include "kernels/cuda/conv/conv_mma.cuh"

namespace fp::FP_MACHINE {

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
