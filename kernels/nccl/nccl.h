// Exchanges between GPUs by NCCL.
#pragma once

#include <functional>
#include <string>

#include "kernels/ops/collectives.h"
#include "kernels/ops/streams.h"

namespace fp {

struct NcclSettings {
    int rank = 0, ranks = 1;
    const StreamApi* streams = nullptr;
    double seconds = 600;  // limit of a call, from when those before it are done
    // A rank that has gone, in words; empty: none. Asked while a call takes long.
    std::function<std::string()> lost = {};
};

}  // namespace fp

// Each is Exit::device where this build has no NCCL.
namespace fp::nccl {

std::string gpu_address();  // of the calling thread's GPU on its host: two ranks must not have one
std::string unique_id();    // made by rank 0, for all
// Every rank at once, with rank 0's id, after its GPU has been selected. Calls return when they are queued; a call that
// fails or takes too long on the GPU is ended, after which the stream goes on with wrong numbers, and every later call
// is an Error, as is `lost`.
Collectives open(const NcclSettings&, const std::string& id);

}  // namespace fp::nccl
