// What starts the kernels of conv_halo.cuh and conv_halo_filter.cuh, which cut a convolution up as plan/halo_plan.h says.
#pragma once

#include "kernels/cuda/conv/conv_epilogue.cuh"
#include "kernels/cuda/plan/halo_plan.h"

namespace fp::FP_MACHINE {

// w: bf16, in the order of the parameters. Data: dy and the gradient of x for x and y, write == add with the gradient
// for residual.
void halo_convolution(
    const ConvShape&, const HaloPlan&, const bf16* x, const bf16* w, const Epilogue&, Stream);

// scratch: halo_filter_scratch_bytes(), for parts that are added in order. dbias may be null.
void halo_filter_gradient(const ConvShape&,
                          const bf16* x,
                          const bf16* dy,
                          float* dw,
                          float* dbias,
                          Write,
                          void* scratch,
                          Stream);

}  // namespace fp::FP_MACHINE
