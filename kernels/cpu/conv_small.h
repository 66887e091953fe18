// Convolution on maps so small that much of each window is padding.
#pragma once

#include "kernels/executed.h"

namespace fp::cpu::small {

// Whether the shape is one of those.
bool suits(const ConvShape&, ConvPass);

size_t scratch_bytes(const ConvShape&);

size_t prepared_bytes(const ConvShape&);
void prepare(const ConvShape&, const float* w, float* prepared);

void forward(const ConvShape&, const Conv::Forward&, void* scratch);
void infer(const ConvShape&, const Conv::Infer&, void* scratch);
void backward_data(const ConvShape&, const Conv::BackwardData&, void* scratch);
void backward_filter(const ConvShape&, const float* x, const float* dy, float* dw, float* scratch);

}  // namespace fp::cpu::small
