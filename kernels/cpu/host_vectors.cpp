#include "kernels/host_vectors.h"

#include "kernels/cpu/lanes.h"

namespace fp {

int host_vector_bits() { return cpu::kNativeLanes * 32; }

}  // namespace fp
