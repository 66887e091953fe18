// Sums and copies over maps in blocked layout, shared by the operations that have a bias.
#pragma once

#include "kernels/kernels.h"

namespace fp::cpu {

// sum[c] = sum_nhw x[n,c,h,w] for all stored channels; float within an image, double across images.
void channel_sums(const Map&, const float* x, float* sum, Write);

void copy_map(const Map&, const float* from, float* to);

}  // namespace fp::cpu
