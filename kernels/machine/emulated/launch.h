// Runs a grid of blocks on the threads of the host.
#pragma once

#include "kernels/machine/emulated/block.h"
#include "kernels/machine/emulated/streams.h"

namespace fp::emulated {

// Blocks x, y, z of `threads` threads each, with `shared_bytes` of dynamic shared memory.
struct Grid {
    int64_t blocks = 1;
    int64_t blocks_y = 1, blocks_z = 1;
    int threads = 256;
    size_t shared_bytes = 0;
    int cluster = 1;     // so many consecutive blocks of x run at the same time (hopper.cuh: clusters)
    bool early = false;  // may begin while the kernels in front still run (hopper.cuh)
    Place at = Place::current();
};

// Runs every block; throws the Error of the first one that fails.
void run(const Grid&, Body body, void* call);

}  // namespace fp::emulated
