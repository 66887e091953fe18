// The two matrix products of which every convolution and linear layer on the host is made, each as one register tile.
//
//   products   sum[q][j] += sum_{b,t,i} x[b, t, q, i] w[j, b, t, i]      forward and dx: q pixels, j blocks of outputs,
//                                                                      b blocks of inputs, t taps, i lanes of a block
//   outer      sum[a][j] += sum_q x[q, a] dy[j, q]                      dw: a inputs, j blocks of outputs, q pixels
//
// Each sum is a vector of L outputs, one block; x is one number, given to all lanes. The sums of a tile with their
// operands fill the processor's registers (most_pixels). Loads stay below the multiply-adds: K of filters and Q of
// x for Q K multiply-adds. Sums of 8 vectors and more hide the latency of the multiply-add (4 cycles, two a cycle).
//
// With 4 lanes a load of x brings all lanes of a block, which are then given to all lanes one after another: on ARM by the
// multiply-add itself (FMLA by element), so that Q + 4 K loads serve 4 Q K multiply-adds, 18 for 80 in tiles of 10 x 2.
//
// Measured on one core of a Xeon (Sapphire Rapids), operands in L1 and L2: 86 GFLOP/s with 8 lanes (6 x 2), 178 with 16.
#pragma once

#include <algorithm>

#include "kernels/cpu/lanes.h"
#include "kernels/layout.h"

namespace fp::cpu {

inline constexpr int kMostBlocks = 4;               // of outputs in a tile
inline constexpr bool kByLane = kNativeLanes == 4;  // x is loaded a block at a time, not a number

// Where a tap of the window reads, in floats from the pixel's own place and from the filters' first.
struct Tap {
    int64_t x, w;
};

// The operands of a tile, in floats from one to the next.
struct Reach {
    int64_t pixel;             // of x
    int64_t x_block, w_block;  // blocks of inputs
    int64_t panel;             // blocks of outputs, of the filters
    int blocks = 1;            // of inputs
    const Tap* taps = nullptr;
    int tap_count = 1;
};

template <int L>
[[gnu::always_inline]] inline Floats<L> broadcast(float v) {
    return v - Floats<L>{};  // v - 0 is v, also for -0: no instruction but the broadcast
}

// kLanes: the numbers that a tap reads side by side.
template <int L, int kLanes, int Q, int K>
[[gnu::always_inline]] inline void products(const Reach& reach,
                                            const float* x,
                                            const float* w,
                                            Floats<L> (&sum)[Q][K]) {
    constexpr bool kBlocks = kByLane && kLanes == L;
    const int64_t pixel = reach.pixel, panel = reach.panel;
    for (int b = 0; b < reach.blocks; ++b) {
        for (const Tap* tap = reach.taps; tap != reach.taps + reach.tap_count; ++tap) {
            const float* const xs = x + b * reach.x_block + tap->x;
            const float* const ws = w + b * reach.w_block + tap->w;
            [[maybe_unused]] Floats<L> block[Q];
            if constexpr (kBlocks)
#pragma GCC unroll 28
                for (int q = 0; q < Q; ++q) block[q] = load_once<L>(xs + q * pixel);
#pragma GCC unroll 4
            for (int i = 0; i < kLanes; ++i) {
                Floats<L> filters[K];
#pragma GCC unroll 4
                for (int j = 0; j < K; ++j) filters[j] = load_once<L>(ws + j * panel + i * L);
#pragma GCC unroll 28
                for (int q = 0; q < Q; ++q) {
                    Floats<L> value;
                    if constexpr (kBlocks)
                        value = broadcast<L>(block[q][i]);
                    else
                        value = broadcast<L>(xs[q * pixel + i]);
#pragma GCC unroll 4
                    for (int j = 0; j < K; ++j) sum[q][j] += value * filters[j];
                }
            }
        }
    }
}

// The pixels of some images, as rows of one length; x moves by `pixel` within a row, dy by L. In floats.
struct OuterReach {
    int images = 1, rows = 1, pixels = 1;
    int64_t x_image = 0, x_row = 0, pixel;
    int64_t dy_image = 0, dy_row = 0;
    int64_t panel;  // from one block of outputs of dy to the next
};

template <int L, int A, int K>
[[gnu::always_inline]] inline void outer(const OuterReach& reach,
                                         const float* x,
                                         const float* dy,
                                         Floats<L> (&sum)[A][K]) {
    constexpr bool kBlocks = kByLane && A == L;
    const int64_t pixel = reach.pixel, panel = reach.panel;
    for (int n = 0; n < reach.images; ++n) {
        for (int r = 0; r < reach.rows; ++r) {
            const float* xs = x + n * reach.x_image + r * reach.x_row;
            const float* ys = dy + n * reach.dy_image + r * reach.dy_row;
            for (int q = 0; q < reach.pixels; ++q, xs += pixel, ys += L) {
                Floats<L> gradients[K];
#pragma GCC unroll 6
                for (int j = 0; j < K; ++j) gradients[j] = load_once<L>(ys + j * panel);
                [[maybe_unused]] Floats<L> block;
                if constexpr (kBlocks) block = load_once<L>(xs);
#pragma GCC unroll 16
                for (int a = 0; a < A; ++a) {
                    Floats<L> value;
                    if constexpr (kBlocks)
                        value = broadcast<L>(block[a]);
                    else
                        value = broadcast<L>(xs[a]);
#pragma GCC unroll 6
                    for (int j = 0; j < K; ++j) sum[a][j] += value * gradients[j];
                }
            }
        }
    }
}

// Calls body(std::integral_constant) of 1 <= count <= kMost.
template <int kMost, class Body>
[[gnu::always_inline]] inline void with_constant(int count, const Body& body) {
    if constexpr (kMost > 1)
        if (count < kMost) return with_constant<kMost - 1>(count, body);
    body(std::integral_constant<int, kMost>());
}

// The most pixels of a tile with k blocks of outputs: q k sums, k filters, and one number of x, or q blocks of it, and where
// there is no multiply-add a product.
constexpr int most_pixels(int k) {
    constexpr int kSums = kNativeLanes == 16 ? 28 : 12;
    return kByLane ? (kRegisters - (kRegisters == 16) - k) / (k + 1) : std::min(kSums / k, kSums / 2);
}

// A row of pixels is cut into `parts` nearly equal tiles; the first pixel of one of them.
constexpr int64_t first_of(int64_t part, int64_t parts, int64_t all) { return part * all / parts; }

}  // namespace fp::cpu
