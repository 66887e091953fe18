// What a convolution does with its sums on their way out.
#pragma once

#include "kernels/cuda/moments.cuh"

namespace fp::FP_MACHINE {

struct Epilogue {
    const float* bias;
    const bf16* residual;
    bool relu;
    bf16* y;
    MomentsOut moments;
};

__device__ inline float2 halves(uint32_t pair) {
    return {to_float(bf16{uint16_t(pair)}), to_float(bf16{uint16_t(pair >> 16)})};
}

}  // namespace fp::FP_MACHINE
