// What a convolution does with its sums before it stores them.
#pragma once

#include "kernels/cuda/walks/moments.cuh"

namespace fp::FP_MACHINE {

// y = relu(sums + bias + residual), each step if given, and the moments of y. No kernel takes moments with a residual.
struct Epilogue {
    const float* bias;
    const bf16* residual;
    bool relu;
    bf16* y;
    MomentsOut moments;

    static Epilogue of(const Conv::Infer& a, const MomentsOut& moments) {
        FP_REQUIRE(!a.residual || !moments.data, Exit::usage, "conv: moments with a residual");
        return {.bias = as<float>(a.bias),
                .residual = as<bf16>(a.residual),
                .relu = a.relu,
                .y = as<bf16>(a.y),
                .moments = moments};
    }
    // Of the gradient of the input: Write::add is a residual.
    static Epilogue of(const Conv::BackwardData& a) {
        auto* dx = as<bf16>(a.dx);
        return {
            .bias = nullptr, .residual = a.write == Write::add ? dx : nullptr, .relu = false, .y = dx, .moments = {}};
    }
};

// A convolution of bf16 maps: pixels and filters, and what becomes of the sums.
struct Operands {
    const bf16 *x, *w;
    Epilogue to;
};

__device__ inline float2 halves(uint32_t pair) {
    return {to_float(bf16{uint16_t(pair)}), to_float(bf16{uint16_t(pair >> 16)})};
}

}  // namespace fp::FP_MACHINE
