// Linked in place of the cuda backend when the build leaves it out.
#include <string>

#include "kernels/error.h"
#include "kernels/kernels.h"

namespace fp::cuda {
std::string gpu() { return ""; }
const Kernels* find(Precision) { return nullptr; }
std::string why_missing() { return "CUDA is not in this build"; }
void select_gpu(int index) { fail_with(Exit::device, "device cuda:", index, ": ", why_missing()); }
}  // namespace fp::cuda
