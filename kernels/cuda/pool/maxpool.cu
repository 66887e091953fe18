// Max pooling.
//
//   forward   y[n,p,q,c] = max_rs x[n, p stride + r - pad, q stride + s - pad, c], on the map only
//             argmax = r window + s of the first maximum in row order; NaN wins
//   backward  dx[n,h,w,c] = sum of dy over the outputs whose maximum is (h,w)
//
// Shapes    x, dx (N,H,W,C)   y, dy, argmax (N,P,Q,C), argmax one byte per element
// Threads   Columns (kernels/cuda/plan/walks.h): a thread takes one pack of channels down some rows, of outputs in
//           forward and of 2x2 patches of inputs in backward. In the plain kernels a thread takes one pack of one
//           output or input. Backward gathers, so no two threads write to one address.
// Selection maxpool_forward_column_kernel: bf16, 3x3 and 2x2 at stride 2. maxpool_backward_patch_kernel: 3x3 at
//           stride 2 with padding 1. maxpool_backward_square_kernel: 2x2 at stride 2 without padding. The plain kernels
//           (64-bit indices) run the rest: other windows, float32 forward (a value and its tap do not fit in 32
//           bits), maps of 2^31 elements and more. Our networks in bf16 do not use the plain kernels.
// Traffic   forward reads x once (overlaps hit L1) and writes y and argmax (half as many bytes as y in bf16); backward
//           reads dy and argmax about ceil(window/stride)^2 times, mostly from L1, and writes dx (and reads it to add)
// Bound     memory; the plain kernels are bound by integer instructions, among them a division per pack
// Measured  H200, bf16, batch 256, 64 channels at 112x112, 3x3/2: forward 184 us; its 565 MB at 4.3 TB/s are 131
#include "kernels/cuda/pool/pool_patch.cuh"

namespace fp::FP_MACHINE {
namespace {

template <class A>
struct Winners {  // the argmax bytes of a pack
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
__global__ void maxpool_forward_kernel(
    const A* __restrict__ x, A* __restrict__ y, uint8_t* __restrict__ argmax, MaxPoolShape s, int64_t packs) {
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
__global__ void maxpool_backward_kernel(
    const A* __restrict__ dy, const uint8_t* __restrict__ argmax, A* dx, MaxPoolShape s, Write write, int64_t packs) {
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

// ---- Columns (pool_patch.cuh): the shapes that networks have

template <int kWindow, int kStride>
__global__ void __launch_bounds__(Columns::kThreads, 3) maxpool_forward_column_kernel(
    const bf16* __restrict__ x, bf16* __restrict__ y, uint8_t* __restrict__ argmax, MaxPoolShape s, Columns columns) {
    const ColumnPlace at = place_on(columns);
    if (at.inside) pool_column<kWindow, kStride>(PlainValues(), x, y, argmax, s, at);
}

// 3x3, stride 2, padding 1. Threads over the 2x2 patches of dx.
template <class A>
__global__ void __launch_bounds__(Columns::kThreads, 3)
    maxpool_backward_patch_kernel(const A* __restrict__ dy,
                                  const uint8_t* __restrict__ argmax,
                                  A* __restrict__ dx,
                                  Write write,
                                  MaxPoolShape s,
                                  Columns columns) {
    constexpr int kSize = Pack<A>::kSize;
    const ColumnPlace at = place_on(columns);
    if (!at.inside) return;
    const int c = s.x.stored_c(), p = s.p(), q = s.q();
    const bool second_column = 2 * at.column + 1 < s.x.w;
    const auto pooled = [&](int i, int j) {
        const int offset = ((at.sample * p + i) * q + at.column + j) * c + at.pack * kSize;
        return PooledGradient<A>::load(dy, argmax, offset, i < p && at.column + j < q);
    };
    Reaching<A> reaching{pooled(at.first, 0), pooled(at.first, 1), pooled(at.first + 1, 0), pooled(at.first + 1, 1)};
    for (int i = at.first; i < at.end; ++i) {
        const auto next = pooled(i + 2, 0), next_b = pooled(i + 2, 1);  // prefetched
        Pack<A> g[2][2];
        UNROLL
        for (int e = 0; e < kSize; ++e) {
            float of[2][2];
            reaching.gradient(e, of);
            UNROLL
            for (int k = 0; k < 4; ++k) g[k / 2][k % 2].v[e] = of[k / 2][k % 2];
        }
        UNROLL
        for (int r = 0; r < 2; ++r) {
            if (2 * i + r >= s.x.h) continue;
            const int offset = ((at.sample * s.x.h + 2 * i + r) * s.x.w + 2 * at.column) * c + at.pack * kSize;
            store_gradient(dx + offset, g[r][0], write);
            if (second_column) store_gradient(dx + offset + c, g[r][1], write);
        }
        reaching = {reaching.c, reaching.d, next, next_b};
    }
}

// 2x2, stride 2, no padding: each input has one output or none. Threads over the patches, also those outside of every
// window.
template <class A>
__global__ void __launch_bounds__(Columns::kThreads, 3)
    maxpool_backward_square_kernel(const A* __restrict__ dy,
                                   const uint8_t* __restrict__ argmax,
                                   A* __restrict__ dx,
                                   Write write,
                                   MaxPoolShape s,
                                   Columns columns) {
    constexpr int kSize = Pack<A>::kSize;
    const ColumnPlace at = place_on(columns);
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
            const int offset = ((at.sample * s.x.h + row) * s.x.w + 2 * at.column + k % 2) * c + at.pack * kSize;
            store_gradient(dx + offset, g, write);
        }
    }
}

template <class A>
void forward(const MaxPoolShape& s, const MaxPool::Forward& args, Stream stream) {
    FP_CHECK(s.window <= 15, "maxpool: a window of ", s.window, ", argmax is one byte");
    if constexpr (sizeof(A) == 2) {
        const bool three = s.window == 3 && s.stride == 2, two = s.window == 2 && s.stride == 2;
        if (Columns::hold(s.x) && (three || two)) {
            const Columns columns = output_columns(s);
            return launch(three ? maxpool_forward_column_kernel<3, 2> : maxpool_forward_column_kernel<2, 2>,
                          column_grid(columns), stream, as<A>(args.x), as<A>(args.y), args.argmax, s, columns);
        }
    }
    const int64_t packs = s.y().stored() / Pack<A>::kSize;
    launch(maxpool_forward_kernel<A>, flat_grid(packs), stream, as<A>(args.x), as<A>(args.y), args.argmax, s, packs);
}

template <class A>
void backward(const MaxPoolShape& s, const MaxPool::Backward& args, Stream stream) {
    const bool three = s.window == 3 && s.stride == 2 && s.pad == 1, two = s.window == 2 && s.stride == 2 && s.pad == 0;
    if (Columns::hold(s.x) && (three || two)) {
        const Columns columns = patch_columns(s, Pack<A>::kSize);
        return launch(three ? maxpool_backward_patch_kernel<A> : maxpool_backward_square_kernel<A>,
                      column_grid(columns), stream, as<A>(args.dy), args.argmax, as<A>(args.dx), args.write, s,
                      columns);
    }
    const int64_t packs = s.x.stored() / Pack<A>::kSize;
    launch(maxpool_backward_kernel<A>, flat_grid(packs), stream, as<A>(args.dy), args.argmax, as<A>(args.dx), s,
           args.write, packs);
}

}  // namespace

extern const MaxPool maxpool_f32{.forward = forward<float>, .backward = backward<float>};
extern const MaxPool maxpool_bf16{.forward = forward<bf16>, .backward = backward<bf16>};

}  // namespace fp::FP_MACHINE
