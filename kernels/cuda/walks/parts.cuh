// A long sum that several blocks share: each block writes its part, and the parts are added in a fixed order.
#pragma once

#include "machine.cuh"

namespace fp::FP_MACHINE {

struct Parts {
    const float* data;  // (count, size)
    int count;
    int64_t size;  // a multiple of 4
};
// A result and whether it replaces what is there or is added to it.
struct Sum {
    float* to;
    Write write;
};
// sum[i] = (or +=) parts[0][i] + parts[1][i] + ..
void add_parts(const Parts&, const Sum&, Stream);

}  // namespace fp::FP_MACHINE
