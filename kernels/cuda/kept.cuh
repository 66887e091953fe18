// The weights of a step, rounded to bf16 in one launch (Conv::keep_rounded).
#pragma once

#include "machine.cuh"

namespace fp::FP_MACHINE {

// One a process, from a call of keep_rounded until the next: who calls it owns it, and ends it with count 0 before the
// weights change.
void keep_rounded(const par* w, int64_t count, void* rounded, Stream);
// The rounded ones of the `count` weights from w on; null where they are not among those kept.
const bf16* kept_weights(const par* w, int64_t count);
// The same, or rounded now into scratch of 2 bytes each.
const bf16* rounded_weights(const par* w, int64_t count, void* scratch, Stream);
void round_weights(const par* w, int64_t count, void* to, Stream);

}  // namespace fp::FP_MACHINE
