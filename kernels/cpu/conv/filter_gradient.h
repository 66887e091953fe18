// dw by the direct sum over pixels; on any window, stride and padding, over blocks or a planar image.
#pragma once

#include "kernels/shapes.h"

namespace fp::cpu::direct {

int64_t filter_gradient_scratch(const ConvShape&);  // floats
void filter_gradient(const ConvShape&, const float* x, const float* dy, float* dw, float* scratch);

}  // namespace fp::cpu::direct
