// The choice of a convolution's algorithm, for tests and benchmarks.
#pragma once

#include <string>

#include "kernels/shapes.h"

namespace fp::cpu {

enum class ConvCall { forward, backward_data, backward_filter, infer };

// The algorithm that runs: "bilinear", "winograd" or "direct" (conv/choose.h).
std::string implementation(const ConvShape&, ConvCall);

}  // namespace fp::cpu
