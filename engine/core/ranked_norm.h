// Batch norm in training over the batches of all ranks (TapeOptions::of_ranks), for norm_ops.cpp.
#pragma once

#include "engine/core/ops.h"

namespace fp {

// A row of norm, addition and ReLU, as `shape` says. Every rank has a batch, and runs the same layers.
Var ranked_norm(Tape&, Var x, const Norm&, BatchNormShape shape, Var residual);

}  // namespace fp
