// How the program and the shared object of the vendor's kernels know each other.
#pragma once

#include "kernels/kernels.h"

// The vendor's table for maps and parameters as `own`, our table for the same GPU, has them; what the vendor
// lacks is own's.
extern "C" const fp::Kernels* fairprune_cudnn_table(const fp::Kernels* own, fp::Precision);
