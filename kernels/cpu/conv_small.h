// Convolution on maps so small that much of every window is padding.
#pragma once

#include "kernels/cpu/conv.h"
#include "kernels/kernels.h"

namespace fp::cpu::small {

// Whether this is the faster way.
bool suits(const ConvShape&, ConvCall);

size_t scratch_bytes(const ConvShape&);

size_t prepared_bytes(const ConvShape&);
void prepare(const ConvShape&, const float* w, float* prepared);

struct Finish {
    const float* bias = nullptr;
    const float* residual = nullptr;  // may be the output itself
    bool relu = false;
};
// One of `w` and `prepared` is given.
void forward(const ConvShape&,
             const float* x,
             const float* w,
             const float* prepared,
             const Finish&,
             float* y,
             void* scratch);
void backward_data(
    const ConvShape&, const float* dy, const float* w, float* dx, Write, void* scratch);
void backward_filter(
    const ConvShape&, const float* x, const float* dy, float* dw, Write, void* scratch);

}  // namespace fp::cpu::small
