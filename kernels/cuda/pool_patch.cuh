// What a max pool and its gradient are made of, for the pool alone (maxpool.cu) and the pool behind a batch norm
// (batchnorm_pool.cuh).
//
// Forward   of bf16 a value and its tap are one integer: the value in the upper half, so that integers order as the
//           values do, below it the tap counted from the end, so that the first of equal values is the largest. A
//           thread goes down a column of outputs; a row's maximum over the window's columns serves both windows
//           that have the row.
// Backward  3x3, stride 2, padding 1: the 2x2 inputs at (2i,2j) have their gradient from the outputs (i,j), (i,j+1),
//           (i+1,j), (i+1,j+1) alone. A thread goes down i and reads two new outputs a patch.
#pragma once

#include "kernels/cuda/pack.cuh"

namespace fp::FP_MACHINE {

// Division of numbers below 2^31 by one number, without dividing (Granlund, Montgomery 1994).
struct Divider {
    uint32_t by, multiply, shift;

    static Divider of(int64_t by) {
        uint32_t shift = 0;
        while ((int64_t(1) << shift) < by) ++shift;
        const auto multiply =
            uint32_t((((uint64_t(1) << shift) - uint64_t(by)) << 32) / uint64_t(by) + 1);
        return {uint32_t(by), multiply, shift};
    }
    // What remains; `n` becomes the quotient.
    __device__ int take(uint32_t& n) const {
        const uint32_t high = uint32_t((uint64_t(n) * multiply) >> 32);
        const uint32_t quotient = (high + n) >> shift;
        const uint32_t rest = n - quotient * by;
        n = quotient;
        return int(rest);
    }
};

// Threads over columns: a block is `across` packs by `down` columns, each of which begins at some (sample, run of
// rows, column); a thread goes down the rows of its run.
struct Columns {
    static constexpr int kThreads = 256, kMostAcross = 32;

    int packs, groups, across, down;
    int run, rows;   // rows of a thread; of the map
    uint32_t count;  // of (sample, run, column)
    Divider by_group, by_across, by_column, by_run;

    static Columns of(const Map& m,
                      int pack,
                      int most_run) {  // m: what is walked, a thread an element
        Columns c{};
        c.packs = m.stored_c() / pack;
        c.groups = int(ceil_div(c.packs, kMostAcross));
        c.across = int(ceil_div(c.packs, c.groups));
        c.down = kThreads / c.across;
        c.rows = m.h;
        const int64_t runs = ceil_div(m.h, most_run);
        c.run = int(ceil_div(m.h, runs));
        c.count = uint32_t(m.n * ceil_div(m.h, c.run) * m.w);
        c.by_group = Divider::of(c.groups);
        c.by_across = Divider::of(c.across);
        c.by_column = Divider::of(m.w);
        c.by_run = Divider::of(ceil_div(m.h, c.run));
        return c;
    }
    static bool hold(const Map& m) { return m.stored() < (int64_t(1) << 31); }
    int64_t chunks() const { return ceil_div(count, down); }
    Grid grid(const Place& at = Place::current()) const {
        return {.blocks = chunks() * groups, .threads = kThreads, .at = at};
    }
};
struct ColumnPlace {
    int pack, column, first, end, sample, chunk;
    bool inside;

    __device__ explicit ColumnPlace(const Columns& c) {
        uint32_t block = blockIdx.x, thread = uint32_t(thread_index());
        const int group = c.by_group.take(block);
        chunk = int(block);
        pack = group * c.across + c.by_across.take(thread);
        uint32_t place = block * uint32_t(c.down) + thread;
        inside = pack < c.packs && int(thread) < c.down && place < c.count;
        column = c.by_column.take(place);
        first = c.by_run.take(place) * c.run;
        end = min(first + c.run, c.rows);
        sample = int(place);
    }
};

// ---- backward

// A pooled output as a patch sees it: its gradient and whose it is. Nobody's where it does not exist.
template <class A>
struct PooledGradient {
    static constexpr int kSize = Pack<A>::kSize, kWords = kSize / 4;
    uint4 dy;
    unsigned taps[kWords];

    __device__ __forceinline__ static PooledGradient load(const A* dy,
                                                          const uint8_t* argmax,
                                                          int offset,
                                                          bool exists) {
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
    __device__ float gradient(int e) const {
        if constexpr (kSize == 4) {
            const unsigned words[4] = {dy.x, dy.y, dy.z, dy.w};
            return float_of_bits(words[e]);
        } else {
            const unsigned pairs[4] = {dy.x, dy.y, dy.z, dy.w};
            return float_of_bits(e % 2 ? pairs[e / 2] & 0xffff0000u : pairs[e / 2] << 16);
        }
    }
};

// The gradients of the four inputs of a patch, [row][column], of element e; a = (i,j), b = (i,j+1), c = (i+1,j),
// d = (i+1,j+1). In the order of the outputs.
template <class A>
__device__ __forceinline__ void patch_gradient(const PooledGradient<A>& a,
                                               const PooledGradient<A>& b,
                                               const PooledGradient<A>& c,
                                               const PooledGradient<A>& d,
                                               int e,
                                               float (&g)[2][2]) {
    const float ga = a.gradient(e), gb = b.gradient(e), gc = c.gradient(e), gd = d.gradient(e);
    const int ta = a.tap(e), tb = b.tap(e), tc = c.tap(e), td = d.tap(e);
    g[0][0] = ta == 4 ? ga : 0;
    g[0][1] = ta == 5 ? ga : 0;
    g[1][0] = ta == 7 ? ga : 0;
    g[1][1] = ta == 8 ? ga : 0;
    if (tb == 3) g[0][1] += gb;
    if (tb == 6) g[1][1] += gb;
    if (tc == 1) g[1][0] += gc;
    if (tc == 2) g[1][1] += gc;
    if (td == 0) g[1][1] += gd;
}

// The sum of each input's gradient times v of it, onto `sum`.
template <class A>
__device__ __forceinline__ void patch_products(const PooledGradient<A>& a,
                                               const PooledGradient<A>& b,
                                               const PooledGradient<A>& c,
                                               const PooledGradient<A>& d,
                                               int e,
                                               const float (&v)[2][2],
                                               float& sum) {
    const float ga = a.gradient(e), gb = b.gradient(e), gc = c.gradient(e), gd = d.gradient(e);
    const int ta = a.tap(e), tb = b.tap(e), tc = c.tap(e), td = d.tap(e);
    if (ta == 4) sum += ga * v[0][0];
    if (ta == 5) sum += ga * v[0][1];
    if (ta == 7) sum += ga * v[1][0];
    if (ta == 8) sum += ga * v[1][1];
    if (tb == 3) sum += gb * v[0][1];
    if (tb == 6) sum += gb * v[1][1];
    if (tc == 1) sum += gc * v[1][0];
    if (tc == 2) sum += gc * v[1][1];
    if (td == 0) sum += gd * v[1][1];
}

// ---- forward of bf16

// The larger of two integers.
__device__ inline int larger(int a, int b) { return a > b ? a : b; }

// What is pooled: of a pack of x eight keys, each joined to the best so far. Any values; a NaN is the largest.
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
            if (in[t] && h >= 0 && h < s.x.h)
                raw[t] = ldg(reinterpret_cast<const uint4*>(x + offset + t * c));
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
        for (int e = 0; e < 8; ++e)
            best[e] = kOverlap == 1 ? shared[e] + kWindow * (kWindow - 1) : Values::kNone;
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
        for (int i = 0; i < 4; ++i)
            pairs[i] = Values::bits(best[2 * i]) >> 16 | Values::bits(best[2 * i + 1]);
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
