// A grid of blocks over the threads of the host.
#pragma once

#include <functional>
#include <vector>

#include "kernels/machine/emulated/block.h"

namespace fp::emulated {

// Blocks x, y, z of `threads` threads each, with `shared_bytes` of dynamic shared memory.
struct Grid {
    int64_t blocks = 1;
    int64_t blocks_y = 1, blocks_z = 1;
    int threads = 256;
    size_t shared_bytes = 0;
    Place at = Place::current();
};

// What a stream is given while it is noted for later (kernels.h: Graph), in order; null while it is not.
using Recording = std::vector<std::function<void()>>;
Recording*& recording();

// Done now, or noted.
template <class Call>
void give(Call call) {
    if (Recording* r = recording())
        r->emplace_back(std::move(call));
    else
        call();
}

// Runs every block; throws what the first one to fail did wrong.
void run(const Grid&, Body body, void* call);

}  // namespace fp::emulated
