// Convolutions as rows of the tape, for the ops that run one together with what follows it (ops.cpp,
// norm_ops.cpp).
#pragma once

#include "engine/core/ops.h"

namespace fp {

ConvShape conv_shape(const Tape&, Var x, const ConvLayer&);

// Of Mode::infer: convolution, folded norm if any, residual if any, ReLU if asked, in one kernel.
Var infer_conv(Tape&, Var x, const ConvLayer&, const Norm* norm, bool relu, Var residual);

// Of the other modes: keeps what backward needs. Where `moments` is given, the convolution leaves those of its
// output there, and the caller gives their memory back to the tape.
Var train_conv(Tape&, Var x, const ConvLayer&, Moments* moments);

}  // namespace fp
