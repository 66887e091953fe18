// What a backend's convolution executes, where that is less than its definition.
#pragma once

#include <string>

#include "kernels/kernels.h"

namespace fp {

enum class ConvPass { forward, input_gradient, filter_gradient, inference };

// The products that are executed over those of the definition: below 1 where transforms save some (Winograd's, bilinear forms).
// Products of the transforms are not counted.
struct ExecutedShare {
    double share = 1;
    std::string implementation = {};  // "jit_wino_4x3:avx512_core"; empty: not known
};
ExecutedShare executed_share(const Kernels&, const ConvShape&, ConvPass);

}  // namespace fp
