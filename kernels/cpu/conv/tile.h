// A tile of outputs: their sums of products (products.h), finished and written.
#pragma once

#include "kernels/cpu/conv/products.h"

namespace fp::cpu {

// What becomes of the sums: y = relu(sum + bias + residual). Adding to what y holds is residual = y.
struct Finish {
    const float* bias = nullptr;      // of all output channels
    const float* residual = nullptr;  // laid out as y; may be y
    bool relu = false;
};

struct Outputs {
    float* y;
    int64_t pixel, panel;  // from one pixel of a tile, and one block of channels, to the next
    Finish finish = {};
};

// Writes the outputs from y + at on; channel: the first one.
template <int Q, int K>
[[gnu::always_inline]] inline void write(const Outputs& out, int channel, int64_t at, Floats<kBlock> (&sum)[Q][K]) {
    const auto [bias, residual, relu] = out.finish;
    for (int j = 0; j < K; ++j) {
        const Floats<kBlock> shift = bias ? load<kBlock>(bias + channel + j * kBlock) : Floats<kBlock>{};
        for (int q = 0; q < Q; ++q) {
            const int64_t to = at + j * out.panel + q * out.pixel;
            Floats<kBlock> v = sum[q][j] + shift;
            if (residual) v += load<kBlock>(residual + to);
            if (relu) v = v > 0 ? v : Floats<kBlock>{};
            store<kBlock>(out.y + to, v);
        }
    }
}

using Tile = void (*)(const Reach&, const float* x, const float* w, const Outputs&, int channel, int64_t at);

// The tile of so many pixels (at most most_pixels(blocks)) and blocks of outputs. lanes: the numbers that a tap reads side
// by side, kBlock for a block of inputs, and on a planar image 7 or 3 for a row of a window, or 1.
Tile tile_for(int pixels, int blocks, int lanes);

// The blocks of outputs in a tile that take least time for rows of so many pixels.
int blocks_for(int64_t pixels, int k_blocks);

}  // namespace fp::cpu
