// A long sum that several blocks share: each leaves its part, and the parts are added in order.
#pragma once

#include "machine.cuh"

namespace fp::FP_MACHINE {

// sum = (or +=) the `count` parts of `size` numbers each, in order; `size` a multiple of 4.
void add_parts(const float* parts, int count, int64_t size, float* sum, Write, Stream);

}  // namespace fp::FP_MACHINE
