// Linked in place of the cuda backend when the build leaves it out.
#include "kernels/kernels.h"

namespace fp::cuda {
const Kernels* find(Precision) { return nullptr; }
}  // namespace fp::cuda
