// Launchers of the kernels in conv_halo.cuh and conv_halo_filter.cuh, tiled as plan/halo_plan.h decides.
#pragma once

#include "kernels/cuda/conv/conv_epilogue.cuh"
#include "kernels/cuda/plan/halo_plan.h"

namespace fp::FP_MACHINE {

// `w` is the filter in bf16, in the layout of the parameters. For the gradient of the input, `x` is dy.
void halo_convolution(const ConvShape&, const HaloPlan&, const Operands&, Stream);

// `scratch` has halo_filter_scratch_bytes() for the partial sums, which are added in order.
void halo_filter_gradient(const ConvShape&, const Conv::BackwardFilter&, void* scratch, Stream);

}  // namespace fp::FP_MACHINE
