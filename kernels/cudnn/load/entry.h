// How the program and the shared object of the vendor's kernels know each other.
#pragma once

#include "kernels/kernels.h"

// The vendor's table for maps and parameters as `own`, our table for the same GPU, has them; what the vendor
// lacks is own's.
extern "C" const fp::Kernels* fairprune_cudnn_table(const fp::Kernels* own, fp::Precision);
// The plans that were chosen so far, a line each: pass, sizes, "fused" where bias, residual or ReLU are inside, and the
// engine with its settings as cuDNN numbers them.
extern "C" const char* fairprune_cudnn_plans();
