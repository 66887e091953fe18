// Max pooling.
//
//   forward   y[n,p,q,c] = max_rs x[n, p stride + r - pad, q stride + s - pad, c], on the map only
//             argmax = r window + s of the first maximum in row order; NaN wins
//   backward  dx[n,h,w,c] = sum of dy over the outputs that (h,w) won
//
// Shapes    x, dx (N,H,W,C)   y, dy, argmax (N,P,Q,C), argmax one byte an element
// Threads   one pack of one output forward, of one input backward: backward gathers, so nothing collides
// Traffic   forward reads x once (overlaps hit L1) and writes y and a quarter as much; backward reads dy and
//           argmax about ceil(window/stride)^2 times, mostly from L1, and writes dx
// Bound     memory
// Model     (bench/gpu/run --model: H200, bf16, batch 256) 64 channels at 112x112, 3x3/2, either way: 133 us; the
//           floor is 131
#include "kernels/cuda/pack.cuh"

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

template <class A>
void forward(const MaxPoolShape& s, const act* x, act* y, uint8_t* argmax, Stream stream) {
    FP_CHECK(s.window <= 15, "maxpool: a window of ", s.window, ", argmax is one byte");
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
    const int64_t packs = s.x.stored() / Pack<A>::kSize;
    launch(maxpool_backward_kernel<A>, flat_grid(packs), stream, static_cast<const A*>(dy), argmax,
           static_cast<A*>(dx), s, write, packs);
}

}  // namespace

extern const MaxPool maxpool_f32{.forward = forward<float>, .backward = backward<float>};
extern const MaxPool maxpool_bf16{.forward = forward<bf16>, .backward = backward<bf16>};

}  // namespace fp::FP_MACHINE
