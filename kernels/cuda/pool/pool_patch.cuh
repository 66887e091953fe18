// Device code of max pooling and its gradient, shared by max pooling alone (maxpool.cu) and max pooling after a batch
// norm (batchnorm_pool.cu). Threads walk Columns (kernels/cuda/plan/walks.h).
//
// Forward   In bf16 a value and its tap are packed into one integer: the value in the upper half, so that integers
//           compare as the values do; below it the tap, counted from the end, so that the first of equal values is the
//           largest. A thread goes down a column of outputs; the maximum of a row over the columns of the window serves
//           both windows that contain the row.
// Backward  3x3, stride 2, padding 1: the gradient of the 2x2 inputs at (2i,2j) comes from the outputs (i,j), (i,j+1),
//           (i+1,j), (i+1,j+1) alone. A thread goes down i and reads two new outputs per patch.
#pragma once

#include "kernels/cuda/plan/walks.h"
#include "kernels/cuda/walks/pack.cuh"

namespace fp::FP_MACHINE {

inline Grid column_grid(const Columns& c, const Place& at = Place::current()) {
    return {.blocks = c.blocks(), .threads = Columns::kThreads, .at = at};
}
__device__ __forceinline__ ColumnPlace place_on(const Columns& c) {
    return c.place(blockIdx.x, uint32_t(thread_index()));
}

// ---- backward

// The 2x2 patches of the pool's input: a thread goes down a run of them.
inline Columns patch_columns(const MaxPoolShape& s, int pack) {
    constexpr int kRun = 14;
    Map patches = s.x;
    patches.h = int(ceil_div(s.x.h, 2));
    patches.w = int(ceil_div(s.x.w, 2));
    return Columns::of(patches, pack, kRun);
}

// A pooled output: its gradient, and the tap that receives it (255 if the output does not exist).
template <class A>
struct PooledGradient {
    static constexpr int kSize = Pack<A>::kSize, kWords = kSize / 4;
    uint4 dy;
    unsigned taps[kWords];

    __device__ __forceinline__ static PooledGradient load(const A* dy, const uint8_t* argmax, int offset, bool exists) {
        PooledGradient p{{}, {}};
        UNROLL
        for (int i = 0; i < kWords; ++i) p.taps[i] = ~0u;
        if (exists) {
            p.dy = ldg(reinterpret_cast<const uint4*>(dy + offset));
            if constexpr (kWords == 2) {
                const uint2 two = ldg(reinterpret_cast<const uint2*>(argmax + offset));
                p.taps[0] = two.x;
                p.taps[1] = two.y;
            } else {
                p.taps[0] = ldg(reinterpret_cast<const unsigned*>(argmax + offset));
            }
        }
        return p;
    }
    __device__ int tap(int e) const { return int(taps[e / 4] >> (8 * (e % 4)) & 255); }
    __device__ float gradient(int e) const { return element_of<A>(dy, e); }
};

// The outputs that reach a patch: (i,j), (i,j+1), (i+1,j), (i+1,j+1).
template <class A>
struct Reaching {
    PooledGradient<A> a, b, c, d;

    // Calls use(has, gradient, row, column, first) for element e of each output and each input of the patch that it
    // reaches, in the order of the outputs. `has`: the input is that output's maximum; `first`: no earlier output
    // reaches the input.
    template <class Use>
    __device__ __forceinline__ void for_inputs(int e, Use use) const {
        const float ga = a.gradient(e), gb = b.gradient(e), gc = c.gradient(e), gd = d.gradient(e);
        const int ta = a.tap(e), tb = b.tap(e), tc = c.tap(e), td = d.tap(e);
        use(ta == 4, ga, 0, 0, true);
        use(ta == 5, ga, 0, 1, true);
        use(ta == 7, ga, 1, 0, true);
        use(ta == 8, ga, 1, 1, true);
        use(tb == 3, gb, 0, 1, false);
        use(tb == 6, gb, 1, 1, false);
        use(tc == 1, gc, 1, 0, false);
        use(tc == 2, gc, 1, 1, false);
        use(td == 0, gd, 1, 1, false);
    }
    // The gradients of the four inputs, [row][column].
    __device__ __forceinline__ void gradient(int e, float (&g)[2][2]) const {
        for_inputs(e, [&](bool has, float from, int row, int column, bool first) {
            if (first)
                g[row][column] = has ? from : 0;
            else if (has)
                g[row][column] += from;
        });
    }
    // The sum of each input's gradient times v of it, onto `sum`.
    __device__ __forceinline__ void add_products(int e, const float (&v)[2][2], float& sum) const {
        for_inputs(e, [&](bool has, float from, int row, int column, bool) {
            if (has) sum += from * v[row][column];
        });
    }
};

// ---- forward of bf16

inline Columns output_columns(const MaxPoolShape& s) {
    constexpr int kRun = 4;
    return Columns::of(s.y(), Pack<bf16>::kSize, kRun);
}

// The larger of two integers.
__device__ inline int larger(int a, int b) { return a > b ? a : b; }

// The values that are compared: a pack of x gives eight keys, each of which may replace the maximum so far. Any values;
// a NaN is the largest.
struct PlainValues {
    static constexpr int kNone = int(0x80000000);  // below every value, whatever its code
    __device__ static int turn(int bits) { return bits ^ ((bits >> 31) & 0x7fff0000); }  // and back

    __device__ __forceinline__ void join(const uint4& raw, int code, int (&best)[8]) const {
        const unsigned pairs[4] = {raw.x, raw.y, raw.z, raw.w};
        UNROLL
        for (int e = 0; e < 8; ++e) {
            const unsigned bits = e % 2 ? pairs[e / 2] & 0xffff0000u : pairs[e / 2] << 16;
            const int ordered = turn(int(bits_of_float(canonical(float_of_bits(bits)))));
            best[e] = larger(best[e], (ordered & int(0xffff0000)) | code);
        }
    }
    __device__ static unsigned bits(int key) { return unsigned(turn(key)) & 0xffff0000u; }
    __device__ static bool has_winner(int) { return true; }
};

// A column of outputs from x, with or without argmax.
template <int kWindow, int kStride, class Values>
__device__ __forceinline__ void pool_column(const Values& values,
                                            const bf16* __restrict__ x,
                                            bf16* __restrict__ y,
                                            uint8_t* __restrict__ argmax,
                                            const MaxPoolShape& s,
                                            const ColumnPlace& at) {
    constexpr int kOverlap = kWindow - kStride;  // rows that two windows share
    static_assert(kOverlap == 0 || kOverlap == 1);
    const int c = s.x.stored_c(), left = at.column * kStride - s.pad;
    bool in[kWindow];
    UNROLL
    for (int t = 0; t < kWindow; ++t) in[t] = left + t >= 0 && left + t < s.x.w;
    const auto load = [&](int h, uint4(&raw)[kWindow]) {
        const int offset = ((at.sample * s.x.h + h) * s.x.w + left) * c + at.pack * 8;
        UNROLL
        for (int t = 0; t < kWindow; ++t)
            if (in[t] && h >= 0 && h < s.x.h) raw[t] = ldg(reinterpret_cast<const uint4*>(x + offset + t * c));
    };
    const auto row = [&](int h, const uint4(&raw)[kWindow], int(&keys)[8]) {
        UNROLL
        for (int& key : keys) key = Values::kNone;
        UNROLL
        for (int t = 0; t < kWindow; ++t)
            if (in[t] && h >= 0 && h < s.x.h) values.join(raw[t], kWindow - 1 - t, keys);
    };

    int top = at.first * kStride - s.pad;
    int shared[8] = {};  // the row that the last window and this one share
    if constexpr (kOverlap == 1) {
        uint4 raw[kWindow] = {};
        load(top, raw);
        row(top, raw, shared);
    }
    for (int p = at.first; p < at.end; ++p, top += kStride) {
        uint4 raw[kStride][kWindow] = {};
        UNROLL
        for (int r = 0; r < kStride; ++r) load(top + kOverlap + r, raw[r]);
        int best[8];
        UNROLL
        for (int e = 0; e < 8; ++e) best[e] = kOverlap == 1 ? shared[e] + kWindow * (kWindow - 1) : Values::kNone;
        UNROLL
        for (int r = 0; r < kStride; ++r) {
            int keys[8];
            row(top + kOverlap + r, raw[r], keys);
            UNROLL
            for (int e = 0; e < 8; ++e) {
                best[e] = larger(best[e], keys[e] + kWindow * (kStride - 1 - r));
                if (r == kStride - 1) shared[e] = keys[e];
            }
        }
        const int offset = ((at.sample * s.p() + p) * s.q() + at.column) * c + at.pack * 8;
        unsigned pairs[4], taps[2] = {};
        UNROLL
        for (int i = 0; i < 4; ++i) pairs[i] = Values::bits(best[2 * i]) >> 16 | Values::bits(best[2 * i + 1]);
        stg(reinterpret_cast<uint4*>(y + offset), uint4{pairs[0], pairs[1], pairs[2], pairs[3]});
        if (!argmax) continue;
        UNROLL
        for (int e = 0; e < 8; ++e) {
            unsigned tap = unsigned(kWindow * kWindow - 1 - (best[e] & 0xffff));
            if (!Values::has_winner(best[e])) tap = 255;
            taps[e / 4] |= tap << (8 * (e % 4));
        }
        if (at.pack * 8 + 8 > s.x.c) {  // padding is zero, here too
            UNROLL
            for (int e = 0; e < 8; ++e)
                if (at.pack * 8 + e >= s.x.c) taps[e / 4] &= ~(255u << (8 * (e % 4)));
        }
        stg(reinterpret_cast<uint2*>(argmax + offset), uint2{taps[0], taps[1]});
    }
}

}  // namespace fp::FP_MACHINE
