// Convolution in float32 on the ordinary cores, as an implicit matrix product: the kernels. conv.cu launches them.
//
//   forward          y[n,p,q,k]  = act(bias[k] + residual[n,p,q,k] + sum_rsc w[k,r,s,c] x[n,h,w,c])
//   backward_data    dx[n,h,w,c] = sum_rsk w[k,r,s,c] dy[n,p,q,k]
//   backward_filter  dw[k,r,s,c] = sum_npq dy[n,p,q,k] x[n,h,w,c]      h = p stride + r - pad, w alike
//
// Shapes    x (N,H,W,C)  w (K,R,S,C)  y (N,P,Q,K), channels padded with zeros (C to a multiple of 4, K of 8)
// GEMM      forward          M = NPQ pixels   N = K       sum over RSC backward_data    M = pixels of dx of one parity
//           class (h mod stride, w mod stride), which share their taps: stride 2
//                            is four products without inserted zeros; N = C; sum over (the class's taps) K
//           backward_filter  M = K            N = RSC     sum over NPQ, split over blocks; the partial sums are
//                            added in order (parts.cu)
// Threads   GemmTile (gemm.cuh), 256 per block; tiling.h chooses the tile from the shape. In each step of 8 a thread
//           loads 4 channels of a row of either operand.
// Traffic   from L2 a block reads its rows and columns once per step; HBM traffic is bytes() when tiles that run at the
//           same time share them
// Moments   of forward's output, from the registers it is stored from: a tile writes 8 bytes per column, where reading
//           y again would cost 4 kM
// Bound     compute: FFMA at 60 TFLOP/s on an H200; memory for 1x1 with few channels
// Model     (bench/gpu/run --model: H200, fp32, batch 256) 3x3 of 128 channels at 28x28: forward and dx 1246 us, dw
//           1250; the lower bound is 987. 1x1 of 64 channels at 56x56: 159, 159 and 204; the lower bound is 110.
#pragma once

#include "kernels/cuda/conv/conv.cuh"
#include "kernels/cuda/plan/tiling.h"
#include "kernels/cuda/products/gemm.cuh"
#include "kernels/cuda/walks/moments.cuh"

namespace fp::FP_MACHINE {

// ---- forward

template <class T>
struct ForwardSource {
    const ConvSizes& g;
    const float *image, *filter;  // this thread's sample of x and its filter; null where there is none
    int top, left;                // the row and column that tap (0,0) of its pixel reads
    int r, s, c;                  // the next tap and channel
    AlongK<T::kM> a;
    AlongK<T::kN> b;

    __device__ ForwardSource(const ConvSizes& g_, const float* x, const float* w, int first_pixel, int first_filter)
        : g(g_) {
        const int pixel = first_pixel + a.line;
        const bool has_pixel = a.takes_part(thread_index()) && pixel < g.pixels_out();
        const int q = pixel % g.q, p = pixel / g.q % g.p, n = pixel / g.q / g.p;
        image = has_pixel ? x + int64_t(n) * g.h * g.w * g.c : nullptr;
        top = p * g.stride - g.pad;
        left = q * g.stride - g.pad;
        const int k = first_filter + b.line;
        filter = b.takes_part(thread_index()) && k < g.k ? w + int64_t(k) * g.taps_c() : nullptr;
        r = s = 0;
        c = a.k;
        wrap();
    }
    __device__ void wrap() {
        while (c >= g.c) {
            c -= g.c;
            if (++s == g.s) s = 0, ++r;
        }
    }
    __device__ void fetch() {
        const int h = top + r, w = left + s;
        const bool on_map = unsigned(h) < unsigned(g.h) && unsigned(w) < unsigned(g.w);
        a.v = image && r < g.r && on_map ? load_pack(image + (h * g.w + w) * g.c + c) : Pack<float>{};
        b.v = filter && r < g.r ? load_pack(filter + (r * g.s + s) * g.c + c) : Pack<float>{};
        c += T::kK;
        wrap();
    }
    __device__ void place(typename T::A& a_, typename T::B& b_) const {
        a.place(a_);
        b.place(b_);
    }
};

template <class T>
__global__ void __launch_bounds__(T::kThreads, 2) conv_forward_kernel(const __grid_constant__ ConvSizes g,
                                                                      const float* __restrict__ x,
                                                                      const float* __restrict__ w,
                                                                      const float* __restrict__ bias,
                                                                      const float* __restrict__ residual,
                                                                      bool relu,
                                                                      float* __restrict__ y,
                                                                      const __grid_constant__ MomentsOut moments) {
    const int first_pixel = int(blockIdx.x) * T::kM;
    const int first_filter = int(blockIdx.y) * T::kN;
    ForwardSource<T> source(g, x, w, first_pixel, first_filter);
    typename T::Sums sums = {};
    T::accumulate(source, int(ceil_div(g.taps_c(), T::kK)), sums);

    SHARED(ColumnMoments, parts, [T::kThreadRows][T::kN]);
    RowMoments<4> seen;
    const auto store = [&](int row, int column, Pack<float> v) {
        const int pixel = first_pixel + row, k = first_filter + column;
        if (pixel >= g.pixels_out() || k >= g.y_c) return;
        const int64_t offset = int64_t(pixel) * g.y_c + k;
        if (bias) {
            const Pack<float> add = load_pack(bias + k);
            for (int e = 0; e < 4; ++e) v.v[e] += add.v[e];
        }
        if (residual) {
            const Pack<float> add = load_pack(residual + offset);
            for (int e = 0; e < 4; ++e) v.v[e] += add.v[e];
        }
        if (relu)
            for (float& e : v.v) e = e <= 0 ? 0 : e;
        store_pack(y + offset, v);
        if (moments.data) seen.add(v.v);
    };
    T::for_outputs(sums, store, [&](int column) {
        if (!moments.data) return;
        for (int e = 0; e < 4; ++e) parts[T::thread_row()][column + e] = seen.column(e);
        seen = {};
    });
    if (!moments.data) return;
    block_sync();
    store_joined<T::kThreadRows, T::kN>([&](int i) { return parts[i]; }, thread_index(), g.y_c - first_filter,
                                        first_filter, moments);
}

// ---- backward_data

template <class T>
struct BackwardDataSource {
    const ConvSizes& g;
    const ParityClass& of;
    const float *image,
        *filter;      // this thread's sample of dy, and w at its channels; null where there is none
    int row, column;  // its pixel within the class, shifted so that p = row - i
    int i, j, k;      // the next tap and filter
    AlongK<T::kM> a;
    AlongLines<T::kN> b;

    __device__ BackwardDataSource(const ConvSizes& g_,
                                  const ParityClass& of_,
                                  const float* dy,
                                  const float* w,
                                  int first_pixel,
                                  int first_channel)
        : g(g_), of(of_) {
        const int pixel = first_pixel + a.line, area = of.rows * of.columns;
        const bool has_pixel = a.takes_part(thread_index()) && pixel < g.n * area;
        image = has_pixel ? dy + int64_t(pixel / area) * g.p * g.q * g.y_c : nullptr;
        row = pixel % area / of.columns + of.p_shift;
        column = pixel % of.columns + of.q_shift;
        const int c = first_channel + b.line;
        filter = b.takes_part(thread_index()) && c < g.c ? w + c : nullptr;
        i = j = k = 0;
    }
    __device__ void fetch() {
        const int p = row - i, q = column - j;
        const bool on_map = unsigned(p) < unsigned(g.p) && unsigned(q) < unsigned(g.q);
        a.v = image && on_map ? load_pack(image + (p * g.q + q) * g.y_c + k + a.k) : Pack<float>{};
        const int tap = (of.first_r + i * g.stride) * g.s + of.first_s + j * g.stride;
        b.v = filter && k + b.k < g.k ? load_pack(filter + (int64_t(k + b.k) * g.r * g.s + tap) * g.c) : Pack<float>{};
        k += T::kK;
        if (k < g.y_c) return;  // a multiple of kK
        k = 0;
        if (++j == of.taps_s) j = 0, ++i;
    }
    __device__ void place(typename T::A& a_, typename T::B& b_) const {
        a.place(a_);
        b.place(b_);
    }
};

template <class T>
__global__ void __launch_bounds__(T::kThreads, 2)
    conv_backward_data_kernel(const __grid_constant__ ConvSizes g,
                              const __grid_constant__ ParityClasses classes,
                              const float* __restrict__ dy,
                              const float* __restrict__ w,
                              float* dx,
                              Write write) {
    const ParityClass& of = classes.at[blockIdx.z];
    const int first_pixel = int(blockIdx.x) * T::kM;
    const int area = of.rows * of.columns;
    if (first_pixel >= g.n * area) return;  // classes differ in size; the whole block leaves
    const int first_channel = int(blockIdx.y) * T::kN;
    BackwardDataSource<T> source(g, of, dy, w, first_pixel, first_channel);
    typename T::Sums sums = {};
    T::accumulate(source, of.taps_r * of.taps_s * (g.y_c / T::kK), sums);

    T::for_outputs(sums, [&](int line, int column, const Pack<float>& v) {
        const int pixel = first_pixel + line, c = first_channel + column;
        if (pixel >= g.n * area || c >= g.c) return;
        const int h = pixel % area / of.columns * g.stride + of.row_class;
        const int x = pixel % of.columns * g.stride + of.column_class;
        const int64_t place = (int64_t(pixel / area) * g.h + h) * g.w + x;
        store_gradient(dx + place * g.c + c, v, write);
    });
}

// ---- backward_filter

template <class T>
struct BackwardFilterSource {
    const ConvSizes& g;
    const float *dy,
        *x;  // dy at this thread's filters, x at its channels; null where there are none
    int dy_pixel, x_pixel, end;
    PixelPlace x_place;
    int top, left;  // the offset of its tap
    AlongLines<T::kM> a;
    AlongLines<T::kN> b;

    __device__ BackwardFilterSource(
        const ConvSizes& g_, const float* x_, const float* dy_, int begin, int end_, int first_filter, int first_column)
        : g(g_), end(end_), x_place(g_, begin + AlongLines<T::kN>().k) {
        const int k = first_filter + a.line, column = first_column + b.line;
        dy = a.takes_part(thread_index()) && k < g.y_c ? dy_ + k : nullptr;
        x = b.takes_part(thread_index()) && column < g.taps_c() ? x_ + column % g.c : nullptr;
        top = column / g.c / g.s - g.pad;
        left = column / g.c % g.s - g.pad;
        dy_pixel = begin + a.k;
        x_pixel = begin + b.k;
    }
    __device__ void fetch() {
        a.v = dy && dy_pixel < end ? load_pack(dy + int64_t(dy_pixel) * g.y_c) : Pack<float>{};
        const int h = x_place.p * g.stride + top, w = x_place.q * g.stride + left;
        const bool on_map = unsigned(h) < unsigned(g.h) && unsigned(w) < unsigned(g.w);
        b.v = x && x_pixel < end && on_map ? load_pack(x + ((int64_t(x_place.n) * g.h + h) * g.w + w) * g.c)
                                           : Pack<float>{};
        dy_pixel += T::kK;
        x_pixel += T::kK;
        x_place.advance(g, {0, T::kK});
    }
    __device__ void place(typename T::A& a_, typename T::B& b_) const {
        a.place(a_);
        b.place(b_);
    }
};

// `out`: dw where the sum is not split, else partial sums [part][K][RSC].
template <class T>
__global__ void __launch_bounds__(T::kThreads, 2) conv_backward_filter_kernel(const __grid_constant__ ConvSizes g,
                                                                              const float* __restrict__ x,
                                                                              const float* __restrict__ dy,
                                                                              float* out,
                                                                              Write write,
                                                                              Split split) {
    const int first_filter = int(blockIdx.x) * T::kM, first_column = int(blockIdx.y) * T::kN;
    const int begin = int(blockIdx.z) * int(split.part);
    const int end = min(begin + int(split.part), int(split.length));
    BackwardFilterSource<T> source(g, x, dy, begin, end, first_filter, first_column);
    typename T::Sums sums = {};
    T::accumulate(source, int(ceil_div(end - begin, T::kK)), sums);

    float* part = out + int64_t(blockIdx.z) * g.k * g.taps_c();
    T::for_outputs(sums, [&](int row, int column, const Pack<float>& v) {
        const int k = first_filter + row, rsc = first_column + column;
        if (k < g.k && rsc < g.taps_c()) store_gradient(part + int64_t(k) * g.taps_c() + rsc, v, write);
    });
}

}  // namespace fp::FP_MACHINE
