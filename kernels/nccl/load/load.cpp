// Opens NCCL when ranks with GPUs join.
#include "kernels/error.h"
#include "kernels/module.h"
#include "kernels/nccl/load/entry.h"

namespace fp::nccl {
namespace {

const Module& module() {
    static const Module opened("nccl");
    return opened;
}

}  // namespace

std::string gpu_address() {
    char address[kNcclGpuBytes] = "";
    module().function<decltype(&fairprune_nccl_gpu)>("fairprune_nccl_gpu")(address);
    return address;
}

std::string unique_id() {
    std::string id(kNcclIdBytes, '\0');
    module().function<decltype(&fairprune_nccl_id)>("fairprune_nccl_id")(id.data());
    return id;
}

Collectives open(const NcclSettings& settings, const std::string& id) {
    FP_CHECK(id.size() == kNcclIdBytes, "NCCL: an id of ", id.size(), " bytes");
    Collectives opened;
    module().function<decltype(&fairprune_nccl_open)>("fairprune_nccl_open")(&settings, id.data(), &opened);
    return opened;
}

}  // namespace fp::nccl
