// What a test sets and reads of the emulated machine.
#pragma once

#include <cstdint>

namespace fp::emulated {

struct Settings {
    uint64_t seed = 1;      // the threads' order; 0 = by index. From FP_EMULATED_SEED if that is set.
    int os_threads = 0;     // blocks run side by side on so many; 0 = one a core (FP_EMULATED_THREADS)
    bool late_copy = true;  // copies and products happen at the last legal moment, else at once
    // Streams do their work when something waits for it (streams.h), else at once. FP_EMULATED_DEFERRED=1
    bool deferred = false;
    int generation = 90;  // the GPU it plays: 80 has no tensor memory unit and no wgmma
};
Settings& settings();

// What kernels did since the last reset. Bytes count what goes through ldg, stg, cp_async and
// the tensor memory unit.
struct Counters {
    uint64_t launches = 0, blocks = 0;
    uint64_t bytes_loaded = 0, bytes_stored = 0;
    uint64_t barriers = 0;         // block-wide ones, once a thread
    uint64_t warp_operations = 0;  // shuffles, votes, fragment loads: once a warp
    uint64_t matrix_products = 0;  // mma.sync and wgmma: once a warp
    double matrix_flops = 0;       // of these
    uint64_t tensor_copies = 0;    // by the tensor memory unit
};
Counters counters();
void reset_counters();

}  // namespace fp::emulated
