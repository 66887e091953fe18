// How fast single parts of a GPU are, where a model of kernels rests on them (kernels/cuda/plan/tiling.h, Device). The kernels
// stand on the machine layer, so the emulated machine runs them too, which says whether they are right and nothing of
// speed.
#pragma once

#include <functional>
#include <string>

#include "kernels/kernels.h"

namespace fp {

struct RateAsked {
    std::string what;
    int variant = 0;            // as below
    int blocks = 1, steps = 1;  // of the grid; in each block
};

// `units` of work a call:
//   l2      bytes that the tensor memory unit brings from L2 into shared memory; variant: KiB of the region, in tiles
//           of 16
//   wgmma   flops of bf16 products from shared memory, 64 x N a warpgroup, two a block; variant: N
//   ex2     exponentials; variant: multiply-adds beside each (0, 4 or 8)
//   start   kernels of one block that do nothing, in one graph; variant: how many. blocks, steps: not read
struct Rate {
    double units = 0;
    std::function<void()> call = {};
};

namespace emulated {
Rate rate(const Kernels&, const RateAsked&);
}
namespace cuda {
Rate rate(const Kernels&, const RateAsked&);  // fails in a build without CUDA
}

}  // namespace fp
