// torchvision's initial weights, drawn from a seed: convolutions normal with variance 2 / (k r s), norms 1 and 0,
// biases of convolutions 0.
#pragma once

#include "engine/core/params.h"

namespace fp::models {

enum class LinearWeights {
    uniform,       // weight and bias uniform in +-1/sqrt(inputs)
    normal_small,  // weight normal with deviation 0.01, bias 0
};

void draw_weights(ParamStore&, uint64_t seed, LinearWeights);

}  // namespace fp::models
