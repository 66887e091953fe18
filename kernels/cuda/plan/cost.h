// What a kernel takes, in seconds, from a device's rates and a few fitted quantities of each kernel family. Kernels
// and tiles are chosen by it (conv_choice.h).
//
// A convolution's kernel gives every multiprocessor `rounds` tiles of so many steps. A round costs
//
//   fill       until the block's first stage is in shared memory
//   steps      each the longest of: products, bytes from L2 into shared memory, the producer's instructions; then barriers
//   epilogue   the tile's way out, as far as no other warpgroup hides it; moments and what is added come on top
//
// Blocks that share a multiprocessor hide each other's fill, barriers and epilogue. Beside all that HBM moves each byte
// once. Two busy resources hinder each other: their joint time is a norm of the two times, not the longer one. A kernel
// that only moves bytes is its start and those bytes at a share of HBM's rate.
//
// The quantities are fitted to launches on an H200, tests/kernels/recordings/h200-kernels.csv; test_cost.cpp holds each
// launch of 50 us or more against the model, 15 % either way, and names the few that lie further off.
#pragma once

#include <string_view>

#include "kernels/cuda/plan/conv_choice.h"

namespace fp {

// The device of a compute capability: 80, 86, 89, 90, 100 or 120; others get the last one below. Only the H200
// (kDevice) was measured.
const Device& device_of(int compute_capability);
extern const Device kH100;  // 90 too; device_of(90) is the H200

// Seconds. Those from `fill` to `epilogue` are one multiprocessor's, of all its rounds.
struct Cost {
    double start = 0;
    double fill = 0, products = 0, load = 0, issue = 0, step = 0, epilogue = 0;
    double memory = 0;  // HBM
    double finish = 0;  // the kernel that adds parts
    int resident = 1;

    double busy() const;    // the longest of products, load and issue
    double kernel() const;  // the kernel alone
    double seconds() const { return kernel() + finish; }
    std::string_view limiter() const;  // start, memory, matrix, L2, issue or epilogue
};

Cost cost(const Device&, const ConvShape&, Pass, ConvChoice, ConvExtras = {});
inline double seconds(const ConvShape& s, Pass pass, ConvChoice choice, ConvExtras extras = {}) {
    return cost(kDevice, s, pass, choice, extras).seconds();
}

// Kernels that only move bytes, in bf16: batch normalisation (batchnorm_*.cu), pooling, the image, the optimiser.
enum class Moving {
    normalize,
    normalize_pair,
    normalize_pool,
    gradient_sums,
    differentiate,
    pair_gradient_sums,
    pair_differentiate,
    pool_gradient_sums,
    pool_differentiate,
    maxpool_forward,
    maxpool_backward,
    image,
    sgd,
    others,  // one pass over their operands
};
constexpr int kMovings = 14;
std::string_view name_of(Moving);

Cost cost(const Device&, Moving, double bytes);
// Of a map that is normalised or pooled: x and what has its size, the pooled map and its argmax, bits of a ReLU.
double bytes_of(Moving, const Map& x, bool residual, bool relu = true);
// The kernel that makes statistics or gradients of a channel from its chunks.
Cost finishing(const Device&, int channels);

}  // namespace fp
