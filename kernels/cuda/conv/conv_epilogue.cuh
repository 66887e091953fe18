// The epilogue of the bf16 convolutions: what is done with the sums before they are stored.
#pragma once

#include "kernels/cuda/walks/moments.cuh"

namespace fp::FP_MACHINE {

// y = relu(sums + bias + residual), of which each part is optional, and the moments of y, also optional. No kernel
// computes moments together with a residual.
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
    // For the gradient of the input: with Write::add the residual is dx itself.
    static Epilogue of(const Conv::BackwardData& a) {
        auto* dx = as<bf16>(a.dx);
        return {
            .bias = nullptr, .residual = a.write == Write::add ? dx : nullptr, .relu = false, .y = dx, .moments = {}};
    }
};

// The pointers of a convolution in bf16: pixels, filters, and its epilogue.
struct Operands {
    const bf16 *x, *w;
    Epilogue to;
};

}  // namespace fp::FP_MACHINE
