// Launchers of the kernels in conv_halo.cuh and conv_halo_filter.cuh, with the tiling of plan/halo_plan.h.
#pragma once

#include "kernels/cuda/conv/conv_epilogue.cuh"
#include "kernels/cuda/plan/halo_plan.h"

namespace fp::FP_MACHINE {

// `w` is the filter in bf16, in the order of the parameters. For the gradient of the input x is dy.
void halo_convolution(const ConvShape&, const HaloPlan&, const Operands&, Stream);

// `scratch` holds halo_filter_scratch_bytes() for the parts, which are added in order.
void halo_filter_gradient(const ConvShape&, const Conv::BackwardFilter&, void* scratch, Stream);

}  // namespace fp::FP_MACHINE
