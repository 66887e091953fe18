// What starts conv_halo.cuh, for conv_bf16_sm90a.cu.
#pragma once

#include "kernels/cuda/conv_epilogue.cuh"
#include "kernels/products.h"

namespace fp::FP_MACHINE {

// Whether the kernels of conv_halo.cuh should do this pass.
bool takes_halo(const ConvShape&, Pass);
// The pixels of a tile of the forward pass, of which it leaves moments.
int halo_moments_rows(const ConvShape&);
// w: bf16, as they lie. Data: dy and the gradient of x for x and y, write == add with the gradient for residual.
void halo_convolution(
    const ConvShape&, Pass, const bf16* x, const bf16* w, const Epilogue&, Stream);

// Parts in scratch, added in order; dbias may be null.
size_t halo_filter_scratch_bytes(const ConvShape&);
void halo_filter_gradient(const ConvShape&,
                          const bf16* x,
                          const bf16* dy,
                          float* dw,
                          float* dbias,
                          Write,
                          void* scratch,
                          Stream);

}  // namespace fp::FP_MACHINE
