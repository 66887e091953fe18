// What a convolution does with its sums on their way out.
#pragma once

#include "kernels/cuda/walks/moments.cuh"

namespace fp::FP_MACHINE {

// y = act(sums + bias + residual), and the moments of y. No kernel takes moments of a sum with a residual.
struct Epilogue {
    const float* bias;
    const bf16* residual;
    bool relu;
    bf16* y;
    MomentsOut moments;

    Epilogue(const float* bias_, const bf16* residual_, bool relu_, bf16* y_, MomentsOut moments_)
        : bias(bias_), residual(residual_), relu(relu_), y(y_), moments(moments_) {
        FP_REQUIRE(!residual || !moments.data, Exit::usage, "conv: moments with a residual");
    }
};

__device__ inline float2 halves(uint32_t pair) {
    return {to_float(bf16{uint16_t(pair)}), to_float(bf16{uint16_t(pair >> 16)})};
}

}  // namespace fp::FP_MACHINE
