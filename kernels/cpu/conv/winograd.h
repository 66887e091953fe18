// Winograd convolution F(4x4, 3x3) for 3x3 windows at stride 1: 36 multiply-adds for 16 outputs instead of 144.
//
// Errors: y, dx and dw differ from those of direct float32 by 2e-6 to 4e-6 in norm (64 to 512 channels).
#pragma once

#include "kernels/cpu/conv/tile.h"
#include "kernels/shapes.h"

namespace fp::cpu::winograd {

// The transformed filters: of y, [product][kb][cb][c][k]; of dx, [product][cb][kb][k][c], turned round.
int64_t filter_floats(const ConvShape&);
void transform_filters(const ConvShape&, const float* w, float* filters);
void transform_filters_for_dx(const ConvShape&, const float* w, float* filters);

int64_t scratch(const Map& from, const Map& to);  // floats
// y from x, or dx from dy.
void run(const Map& from,
         const Map& to,
         int pad,
         const float* x,
         const float* filters,
         float* y,
         const Finish&,
         float* scratch);

int64_t backward_filter_scratch(const ConvShape&);
void backward_filter(const ConvShape&, const float* x, const float* dy, float* dw, float* scratch);

}  // namespace fp::cpu::winograd
