// Linked in place of the onednn backend when the build leaves it out.
#include "kernels/kernels.h"

namespace fp::onednn {
const Kernels* find() { return nullptr; }
}  // namespace fp::onednn
