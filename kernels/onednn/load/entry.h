// How the program and the shared object of oneDNN's kernels know each other.
#pragma once

#include "kernels/kernels.h"

// oneDNN's table for maps as `own`, the host's table, has them; what is not a product is own's.
extern "C" const fp::Kernels* fairprune_onednn_table(const fp::Kernels* own);
