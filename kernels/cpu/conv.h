// The choice of a convolution's algorithm, for tests and benchmarks.
#pragma once

#include <string>

#include "kernels/shapes.h"

namespace fp::cpu {

enum class ConvCall { forward, backward_data, backward_filter, infer };

// The implementation that runs: "bilinear" for conv_small.h, otherwise oneDNN's name, such as "jit:avx512_core" or
// "jit_wino_4x3:avx512_core".
std::string implementation(const ConvShape&, ConvCall);

}  // namespace fp::cpu
