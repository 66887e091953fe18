// Max pooling.
//
//   forward   y[n,p,q,c] = max_rs x[n, p stride + r - pad, q stride + s - pad, c], on the map only
//             argmax = r window + s of the first maximum in row order; NaN wins
//   backward  dx[n,h,w,c] = sum of dy over the outputs that (h,w) won
//
// Shapes    x, dx (N,H,W,C)   y, dy, argmax (N,P,Q,C), argmax one byte an element
// Threads   3x3/2 and 2x2/2: a pack of one column of outputs forward, of 2x2 patches of inputs backward, down some rows
//           (pool_patch.cuh). Else one pack of one output or input. Backward gathers, so nothing collides.
// Traffic   forward reads x once (overlaps hit L1) and writes y and a quarter as much; backward reads dy and
//           argmax about ceil(window/stride)^2 times, mostly from L1, and writes dx
// Bound     memory
// Model     (bench/gpu/run --model: H200, bf16, batch 256) 64 channels at 112x112, 3x3/2, either way: 133 us; the
//           floor is 131
#include "kernels/cuda/pack.cuh"
#include "kernels/cuda/pool_patch.cuh"
#include "kernels/cuda/swath.cuh"

namespace fp::FP_MACHINE {
namespace {

template <class A>
struct Winners {  // a pack's argmax bytes
    static constexpr int kSize = Pack<A>::kSize;
    uint8_t tap[kSize];

    __device__ static Winners load(const uint8_t* p) {
        Winners w;
        UNROLL
        for (int i = 0; i < kSize; i += 4) {
            const unsigned four = ldg(reinterpret_cast<const unsigned*>(p + i));
            for (int j = 0; j < 4; ++j) w.tap[i + j] = uint8_t(four >> (8 * j));
        }
        return w;
    }
    __device__ void store(uint8_t* p) const {
        UNROLL
        for (int i = 0; i < kSize; i += 4) {
            unsigned four = 0;
            for (int j = 0; j < 4; ++j) four |= unsigned(tap[i + j]) << (8 * j);
            stg(reinterpret_cast<unsigned*>(p + i), four);
        }
    }
};

template <class A>
__global__ void maxpool_forward_kernel(const A* __restrict__ x,
                                       A* __restrict__ y,
                                       uint8_t* __restrict__ argmax,
                                       MaxPoolShape s,
                                       int64_t packs) {
    const int64_t index = flat_index();
    if (index >= packs) return;
    constexpr int kSize = Pack<A>::kSize;
    const PackPlace at(index, s.x.stored_c() / kSize, s.p(), s.q());
    const int top = at.row * s.stride - s.pad, left = at.column * s.stride - s.pad;
    Pack<A> best{};
    Winners<A> winners{};
    bool first = true;
    for (int r = max(0, -top); r < s.window && top + r < s.x.h; ++r)
        for (int t = max(0, -left); t < s.window && left + t < s.x.w; ++t) {
            const int64_t pixel = (at.sample * s.x.h + top + r) * s.x.w + left + t;
            const Pack<A> v = load_pack(x + pixel * s.x.stored_c() + at.pack * kSize);
            UNROLL
            for (int e = 0; e < kSize; ++e) {
                const bool nan_wins = v.v[e] != v.v[e] && best.v[e] == best.v[e];
                if (first || v.v[e] > best.v[e] || nan_wins) {
                    best.v[e] = v.v[e];
                    winners.tap[e] = uint8_t(r * s.window + t);
                }
            }
            first = false;
        }
    store_pack(y + index * kSize, best);
    if (!argmax) return;
    UNROLL
    for (int e = 0; e < kSize; ++e)
        if (at.pack * kSize + e >= s.x.c) winners.tap[e] = 0;  // padding is zero, here too
    winners.store(argmax + index * kSize);
}

template <class A>
__global__ void maxpool_backward_kernel(const A* __restrict__ dy,
                                        const uint8_t* __restrict__ argmax,
                                        A* dx,
                                        MaxPoolShape s,
                                        Write write,
                                        int64_t packs) {
    const int64_t index = flat_index();
    if (index >= packs) return;
    constexpr int kSize = Pack<A>::kSize;
    const PackPlace at(index, s.x.stored_c() / kSize, s.x.h, s.x.w);
    // The outputs whose window holds this row: p stride <= row + pad < p stride + window.
    const int row = at.row + s.pad, column = at.column + s.pad;
    const int first_p = row < s.window ? 0 : (row - s.window) / s.stride + 1;
    const int first_q = column < s.window ? 0 : (column - s.window) / s.stride + 1;
    Pack<A> sum{};
    for (int p = first_p; p < s.p() && p * s.stride <= row; ++p)
        for (int q = first_q; q < s.q() && q * s.stride <= column; ++q) {
            const int tap = (row - p * s.stride) * s.window + column - q * s.stride;
            const int64_t pixel = (at.sample * s.p() + p) * s.q() + q;
            const int64_t offset = pixel * s.x.stored_c() + at.pack * kSize;
            const Winners<A> winners = Winners<A>::load(argmax + offset);
            const Pack<A> g = load_pack(dy + offset);
            UNROLL
            for (int e = 0; e < kSize; ++e)
                if (winners.tap[e] == tap) sum.v[e] += g.v[e];
        }
    store_gradient(dx + index * kSize, sum, write);
}

// ---- by columns (pool_patch.cuh), of the shapes that networks have

// Of the prototype, FP_POOL: 0 the kernels above.
inline bool by_columns(const MaxPoolShape& s) {
    return choice("FP_POOL", 1) == 1 && Columns::hold(s.x);
}
constexpr int kForwardRun = 4, kBackwardRun = 14;

template <int kWindow, int kStride>
__global__ void __launch_bounds__(Columns::kThreads, 3)
    maxpool_forward_column_kernel(const bf16* __restrict__ x,
                                  bf16* __restrict__ y,
                                  uint8_t* __restrict__ argmax,
                                  MaxPoolShape s,
                                  Columns columns) {
    const ColumnPlace at(columns);
    if (at.inside) pool_column<kWindow, kStride>(PlainValues(), x, y, argmax, s, at);
}

// 3x3, stride 2, padding 1. Threads over the 2x2 patches of dx.
template <class A>
__global__ void __launch_bounds__(Columns::kThreads, 3)
    maxpool_backward_patch_kernel(const A* __restrict__ dy,
                                  const uint8_t* __restrict__ argmax,
                                  A* __restrict__ dx,
                                  MaxPoolShape s,
                                  Columns columns) {
    constexpr int kSize = Pack<A>::kSize;
    const ColumnPlace at(columns);
    if (!at.inside) return;
    const int c = s.x.stored_c(), p = s.p(), q = s.q();
    const bool second_column = 2 * at.column + 1 < s.x.w;
    const auto pooled = [&](int i, int j) {
        const int offset = ((at.sample * p + i) * q + at.column + j) * c + at.pack * kSize;
        return PooledGradient<A>::load(dy, argmax, offset, i < p && at.column + j < q);
    };
    auto a = pooled(at.first, 0), b = pooled(at.first, 1);
    auto below = pooled(at.first + 1, 0), below_b = pooled(at.first + 1, 1);
    for (int i = at.first; i < at.end; ++i) {
        const auto next = pooled(i + 2, 0), next_b = pooled(i + 2, 1);  // on their way
        Pack<A> g[2][2];
        UNROLL
        for (int e = 0; e < kSize; ++e) {
            float of[2][2];
            patch_gradient(a, b, below, below_b, e, of);
            UNROLL
            for (int k = 0; k < 4; ++k) g[k / 2][k % 2].v[e] = of[k / 2][k % 2];
        }
        UNROLL
        for (int r = 0; r < 2; ++r) {
            if (2 * i + r >= s.x.h) continue;
            const int offset =
                ((at.sample * s.x.h + 2 * i + r) * s.x.w + 2 * at.column) * c + at.pack * kSize;
            store_pack(dx + offset, g[r][0]);
            if (second_column) store_pack(dx + offset + c, g[r][1]);
        }
        a = below;
        b = below_b;
        below = next;
        below_b = next_b;
    }
}

// 2x2, stride 2, no padding: each input has one output or none. Threads over the patches, those that overhang
// the outputs too.
template <class A>
__global__ void __launch_bounds__(Columns::kThreads, 3)
    maxpool_backward_square_kernel(const A* __restrict__ dy,
                                   const uint8_t* __restrict__ argmax,
                                   A* __restrict__ dx,
                                   MaxPoolShape s,
                                   Columns columns) {
    constexpr int kSize = Pack<A>::kSize;
    const ColumnPlace at(columns);
    if (!at.inside) return;
    const int c = s.x.stored_c(), p = s.p(), q = s.q();
    const bool second_column = 2 * at.column + 1 < s.x.w;
    const auto pooled = [&](int i) {
        const int offset = ((at.sample * p + i) * q + at.column) * c + at.pack * kSize;
        return PooledGradient<A>::load(dy, argmax, offset, i < p && at.column < q);
    };
    auto next = pooled(at.first);
    for (int i = at.first; i < at.end; ++i) {
        const auto a = next;
        if (i + 1 < at.end) next = pooled(i + 1);
        UNROLL
        for (int k = 0; k < 4; ++k) {
            Pack<A> g;
            UNROLL
            for (int e = 0; e < kSize; ++e) g.v[e] = a.tap(e) == k ? a.gradient(e) : 0;
            const int row = 2 * i + k / 2;
            if (row >= s.x.h || (k % 2 == 1 && !second_column)) continue;
            const int offset =
                ((at.sample * s.x.h + row) * s.x.w + 2 * at.column + k % 2) * c + at.pack * kSize;
            store_pack(dx + offset, g);
        }
    }
}

template <class A>
void forward(const MaxPoolShape& s, const act* x, act* y, uint8_t* argmax, Stream stream) {
    FP_CHECK(s.window <= 15, "maxpool: a window of ", s.window, ", argmax is one byte");
    if constexpr (sizeof(A) == 2) {
        const bool three = s.window == 3 && s.stride == 2, two = s.window == 2 && s.stride == 2;
        if (by_columns(s) && (three || two)) {
            const Columns columns = Columns::of(s.y(), Pack<A>::kSize, kForwardRun);
            return launch(
                three ? maxpool_forward_column_kernel<3, 2> : maxpool_forward_column_kernel<2, 2>,
                columns.grid(), stream, static_cast<const A*>(x), static_cast<A*>(y), argmax, s,
                columns);
        }
    }
    const int64_t packs = s.y().stored() / Pack<A>::kSize;
    launch(maxpool_forward_kernel<A>, flat_grid(packs), stream, static_cast<const A*>(x),
           static_cast<A*>(y), argmax, s, packs);
}

template <class A>
void backward(const MaxPoolShape& s,
              const act* dy,
              const uint8_t* argmax,
              act* dx,
              Write write,
              Stream stream) {
    const bool three = s.window == 3 && s.stride == 2 && s.pad == 1,
               two = s.window == 2 && s.stride == 2 && s.pad == 0;
    if (by_columns(s) && write == Write::replace && (three || two)) {
        Map patches = s.x;
        patches.h = int(ceil_div(s.x.h, 2));
        patches.w = int(ceil_div(s.x.w, 2));
        const Columns columns = Columns::of(patches, Pack<A>::kSize, kBackwardRun);
        return launch(three ? maxpool_backward_patch_kernel<A> : maxpool_backward_square_kernel<A>,
                      columns.grid(), stream, static_cast<const A*>(dy), argmax,
                      static_cast<A*>(dx), s, columns);
    }
    const int64_t packs = s.x.stored() / Pack<A>::kSize;
    launch(maxpool_backward_kernel<A>, flat_grid(packs), stream, static_cast<const A*>(dy), argmax,
           static_cast<A*>(dx), s, write, packs);
}

}  // namespace

extern const MaxPool maxpool_f32{.forward = forward<float>, .backward = backward<float>};
extern const MaxPool maxpool_bf16{.forward = forward<bf16>, .backward = backward<bf16>};

}  // namespace fp::FP_MACHINE
