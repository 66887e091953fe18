// Linked in place of NCCL when the build leaves it out.
#include "kernels/nccl/nccl.h"
#include "kernels/error.h"

namespace fp::nccl {
namespace {

[[noreturn]] void left_out() {
    fail_with(Exit::device,
              "this build has no NCCL: build it where CUDA and NCCL are installed, or set FAIRPRUNE_COLLECTIVES=tcp, "
              "by which GPUs exchange through their hosts");
}

}  // namespace

std::string gpu_address() { left_out(); }
std::string unique_id() { left_out(); }
Collectives open(const NcclSettings&, const std::string&) { left_out(); }

}  // namespace fp::nccl
