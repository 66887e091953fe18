// A model of the seconds that a kernel takes, from the rates of a device and a few fitted quantities per kernel family.
// Kernels and tiles are chosen by it (conv_choice.h).
//
// A convolution kernel runs `rounds` tiles per multiprocessor, each of some number of steps. A round costs
//
//   fill       the time until the block's first stage is in shared memory
//   steps      each the longest of products, bytes from L2 into shared memory, and the producer's instructions; plus
//              the barriers
//   epilogue   storing the tile, as far as no other warpgroup hides it, plus moments and the residual
//
// Blocks that share a multiprocessor hide each other's fill, barriers and epilogue. At the same time HBM moves each
// byte once. Two busy resources slow each other down: their joint time is a norm of the two times, not their maximum. A
// kernel that only moves bytes takes its launch plus these bytes at a share of HBM's rate.
//
// The quantities are fitted to launches on an H200, tests/kernels/recordings/h200-kernels.csv; test_cost.cpp compares
// every launch of 50 us or more with the model, within 15 %, and names the few exceptions.
#pragma once

#include <string_view>

#include "kernels/cuda/plan/conv_choice.h"

namespace fp {

// The device of a compute capability (x 10): 80, 86, 89, 90, 100; all others get that of 120. Only the H200 (kDevice)
// was measured.
const Device& device_of(int compute_capability);
extern const Device kH100;  // also 90; device_of(90) is the H200

// In seconds. `fill` to `epilogue` are sums over the rounds of one multiprocessor.
struct Cost {
    double start = 0;
    double fill = 0, products = 0, load = 0, issue = 0, step = 0, epilogue = 0;
    double memory = 0;  // HBM
    double finish = 0;  // the kernel that adds partial sums
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

// Kernels that memory bounds, in bf16: batch normalisation (batchnorm_*.cu), pooling, the image, the optimiser.
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
// The bytes that a kernel of batch norm or pooling moves for map x: maps of its size, the pooled map with its argmax,
// the bits of a ReLU.
double bytes_of(Moving, const Map& x, bool residual, bool relu = true);
// The kernel that computes statistics or gradients per channel from those of its chunks.
Cost finishing(const Device&, int channels);

}  // namespace fp
