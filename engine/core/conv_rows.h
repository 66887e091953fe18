// Convolutions as rows of the tape, for ops that run one together with the norm, addition or ReLU behind it (ops.cpp,
// norm_ops.cpp).
#pragma once

#include "engine/core/ops.h"

namespace fp {

ConvShape conv_shape(const Tape&, Var x, const ConvLayer&);

// In Mode::infer: convolution, folded norm if any, residual if any, and ReLU if asked, in one kernel.
Var infer_conv(Tape&, Var x, const ConvLayer&, const Norm* norm, bool relu, Var residual);

// In the other modes: keeps what backward needs. With `moments`, the convolution writes the partial statistics of its
// output to tape memory that the caller gives back.
Var train_conv(Tape&, Var x, const ConvLayer&, Moments* moments);

}  // namespace fp
