// The layout of elements in memory. That of every backend is described by these two records:
//
//   activations   N, ceil(C/b), H, W, b      b = 16 or 8 on the host (nChw16c), C rounded up to 8 in
//                                            CUDA (NHWC with padded channels), 1 for plain NCHW
//   filters       ceil(K/kb), ceil(C/cb), R, S, cb, kb
//                                            16,16 on the host (OIhw16i16o), kb = 1 and cb = C rounded
//                                            up in CUDA (KRSC), 1,1 for plain OIHW
//
// Elements between the logical channel count and the block's end are exact zeros, in activations,
// gradients, weights and per-channel vectors alike, so no kernel masks.
#pragma once

#include <cstdint>

namespace fp {

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

// A batch of feature maps: (n, c, h, w), channels in blocks of `block`.
struct Map {
    int n = 1, c = 1, h = 1, w = 1;
    int block = 1;

    constexpr int blocks() const { return int(ceil_div(c, block)); }
    constexpr int stored_c() const { return blocks() * block; }  // with padding
    constexpr int64_t pixels() const { return int64_t(h) * w; }
    constexpr int64_t logical() const { return int64_t(n) * c * pixels(); }  // elements without padding
    constexpr int64_t stored() const { return int64_t(n) * stored_c() * pixels(); }
    constexpr int64_t at(int in, int ic, int ih, int iw) const {
        return (((int64_t(in) * blocks() + ic / block) * h + ih) * w + iw) * block + ic % block;
    }
    bool operator==(const Map&) const = default;
};

// k filters over c channels, each r x s. In a linear layer r x s is the size of the input.
struct Filter {
    int k = 1, c = 1, r = 1, s = 1;
    int k_block = 1, c_block = 1;

    constexpr int k_blocks() const { return int(ceil_div(k, k_block)); }
    constexpr int c_blocks() const { return int(ceil_div(c, c_block)); }
    constexpr int64_t logical() const { return int64_t(k) * c * r * s; }
    constexpr int64_t stored() const { return int64_t(k_blocks()) * k_block * c_blocks() * c_block * r * s; }
    constexpr int64_t at(int ik, int ic, int ir, int is) const {
        const int64_t tile = ((int64_t(ik / k_block) * c_blocks() + ic / c_block) * r + ir) * s + is;
        return (tile * c_block + ic % c_block) * k_block + ik % k_block;
    }
    bool operator==(const Filter&) const = default;
};

}  // namespace fp
