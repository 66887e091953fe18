// A tile of the filters' gradient: some inputs by some blocks of outputs, summed over pixels (products.h, outer).
#pragma once

#include "kernels/cpu/conv/products.h"

namespace fp::cpu {

// sums[a * kBlock + j * panel ..] = or += the tile; j counts blocks of outputs.
struct OuterSums {
    float* sums;
    int64_t panel;
    bool add;
};
using OuterTile = void (*)(const OuterReach&, const float* x, const float* dy, const OuterSums&);

// Inputs of a block in one tile, and blocks of outputs.
inline constexpr int kOuterInputs = kBlock == 16 ? 8 : 4;
inline constexpr int kOuterBlocks = kNativeLanes > 4 ? 3 : kRegisters == 32 ? 6 : 2;

// inputs <= kOuterInputs, blocks <= kOuterBlocks.
OuterTile outer_tile_for(int inputs, int blocks);

}  // namespace fp::cpu
