// Linked in place of the GPU's rates in a build without CUDA.
#include "bench/gpu/rates/rates.h"
#include "kernels/error.h"

namespace fp::cuda {

Rate rate(const Kernels&, const RateAsked&) { fail("rates: this build has no CUDA kernels"); }

}  // namespace fp::cuda
