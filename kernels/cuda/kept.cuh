// Weights that Conv::keep_rounded has rounded (conv_bf16.cu).
#pragma once

#include "machine.cuh"

namespace fp::FP_MACHINE {

// Those of the `count` weights from w on; null where they were not kept.
const bf16* kept_weights(const par* w, int64_t count);
void keep_rounded(const par* w, int64_t count, void* rounded, Stream);

}  // namespace fp::FP_MACHINE
