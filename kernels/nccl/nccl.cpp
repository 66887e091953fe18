// Exchanges between GPUs by NCCL: a shared object of its own. NCCL moves bytes here and adds no numbers, so results do not
// depend on its version, its algorithms and the topology.
#include <algorithm>
#include <memory>

#include "kernels/error.h"
#include "kernels/nccl/communicator.h"
#include "kernels/nccl/load/entry.h"

namespace fp::nccl {
namespace {

Communicator& of(void* state) { return *static_cast<Communicator*>(state); }

void all_to_all(void* state, const void* send, void* receive, size_t bytes, Stream stream) {
    of(state).queue("all_to_all", stream, [&](ncclComm_t comm, cudaStream_t native) {
        check(ncclGroupStart(), "all_to_all");
        for (int r = 0; r < of(state).ranks(); ++r) {
            const char* const from = static_cast<const char*>(send) + size_t(r) * bytes;
            char* const to = static_cast<char*>(receive) + size_t(r) * bytes;
            check(ncclSend(from, bytes, ncclInt8, r, comm, native), "all_to_all", comm);
            check(ncclRecv(to, bytes, ncclInt8, r, comm, native), "all_to_all", comm);
        }
        check(ncclGroupEnd(), "all_to_all", comm);
    });
}

void all_gather(void* state, const void* send, void* receive, size_t bytes, Stream stream) {
    of(state).queue("all_gather", stream, [&](ncclComm_t comm, cudaStream_t native) {
        check(ncclAllGather(send, receive, bytes, ncclInt8, comm, native), "all_gather", comm);
    });
}

void close(void* state) {
    const std::unique_ptr<Communicator> owner(&of(state));
    owner->leave();
}

}  // namespace
}  // namespace fp::nccl

void fairprune_nccl_gpu(char* address) {
    int gpu = 0;
    fp::nccl::check(cudaGetDevice(&gpu), "cudaGetDevice");
    fp::nccl::check(cudaDeviceGetPCIBusId(address, kNcclGpuBytes, gpu), "cudaDeviceGetPCIBusId");
}

void fairprune_nccl_id(char* id) {
    static_assert(sizeof(ncclUniqueId::internal) == kNcclIdBytes);
    ncclUniqueId made;
    fp::nccl::check(ncclGetUniqueId(&made), "ncclGetUniqueId");
    std::copy(made.internal, made.internal + kNcclIdBytes, id);
}

void fairprune_nccl_open(const fp::NcclSettings* settings, const char* id, fp::Collectives* opened) {
    using namespace fp;
    ncclUniqueId unique;
    std::copy(id, id + kNcclIdBytes, unique.internal);
    *opened = {.name = "nccl",
               .state = new nccl::Communicator(*settings, unique),
               .device_memory = true,
               .all_to_all = nccl::all_to_all,
               .all_gather = nccl::all_gather,
               .abort = [](void* state) { nccl::of(state).abort(); },
               .lost = [](void* state) { return nccl::of(state).failure(); },
               .close = nccl::close};
}
