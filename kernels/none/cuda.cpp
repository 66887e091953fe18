// Linked in place of the cuda backend when the build leaves it out.
#include <string>

#include "kernels/error.h"
#include "kernels/kernels.h"

namespace fp::cuda {
std::string gpu() { return ""; }
const Kernels* find(Precision) { return nullptr; }
void select_gpu(int index) {
    fail_with(Exit::device, "device cuda:", index, " is not in this build");
}
}  // namespace fp::cuda
