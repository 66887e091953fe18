#include "kernels/cpu/conv/outer_tile.h"

namespace fp::cpu {
namespace {

template <int A, int K>
void tile(const OuterReach& reach, const float* x, const float* dy, const OuterSums& out) {
    Floats<kBlock> sum[A][K] = {};
    outer<kBlock>(reach, x, dy, sum);
    for (int a = 0; a < A; ++a)
        for (int j = 0; j < K; ++j) {
            float* const to = out.sums + a * kBlock + j * out.panel;
            store<kBlock>(to, out.add ? load<kBlock>(to) + sum[a][j] : sum[a][j]);
        }
}

}  // namespace

OuterTile outer_tile_for(int inputs, int blocks) {
    OuterTile found = nullptr;
    with_constant<kOuterInputs>(
        inputs, [&](auto a) { with_constant<kOuterBlocks>(blocks, [&](auto k) { found = tile<a, k>; }); });
    return found;
}

}  // namespace fp::cpu
