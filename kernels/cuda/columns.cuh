// Column sums of a map: what a bias gets as its gradient.
#pragma once

#include "machine.cuh"

namespace fp::FP_MACHINE {

// sums[c] = sum over n, h, w of x[n,h,w,c] (added to what is there if asked), float32, padding zero.
size_t column_sums_scratch_bytes(const Map&, int element_bytes);
void column_sums(const Map&, const float* x, float* sums, Write, void* scratch, Stream);
void column_sums(const Map&, const bf16* x, float* sums, Write, void* scratch, Stream);

}  // namespace fp::FP_MACHINE
