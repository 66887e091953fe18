// What a test or a bench may ask about the choice of a convolution's algorithm.
#pragma once

#include <string>

#include "kernels/shapes.h"

namespace fp::cpu {

enum class ConvCall { forward, backward_data, backward_filter, infer };

// What will run: "bilinear" for conv_small.h, or oneDNN's name for it: "jit:avx512_core",
// "jit_wino_4x3:avx512_core".
std::string implementation(const ConvShape&, ConvCall);

}  // namespace fp::cpu
