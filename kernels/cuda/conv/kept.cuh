// The weights of a step, rounded to bf16 in one launch (Conv::keep_rounded).
#pragma once

#include "machine.cuh"

namespace fp::FP_MACHINE {

// Rounds `count` weights into `rounded`. Until the calling thread's next call, rounded_weights on this thread returns
// them. The caller ends this with count 0, before the weights change and before `rounded` is freed.
void keep_rounded(const par* w, int64_t count, void* rounded, Stream);
// The `count` weights from w on as bf16: those that this thread keeps, or else rounded now into `scratch`, which has
// room for 2 bytes each.
const bf16* rounded_weights(const par* w, int64_t count, void* scratch, Stream);
// The rounded copy of these weights that this thread keeps; null where it keeps none.
const bf16* kept_weights(const par* w, int64_t count);
void round_weights(const par* w, int64_t count, void* to, Stream);

}  // namespace fp::FP_MACHINE
