// What tests set on the emulated machine and read from it.
#pragma once

#include <cstdint>

namespace fp::emulated {

struct Settings {
    uint64_t seed = 1;      // of the order in which threads run; 0 = by index (FP_EMULATED_SEED)
    int os_threads = 0;     // that run blocks in parallel; 0 = one per core (FP_EMULATED_THREADS)
    bool late_copy = true;  // copies and products complete at the last legal moment, otherwise at once
    // Streams execute their work when something waits for it (streams.h), otherwise at once (FP_EMULATED_DEFERRED=1)
    bool deferred = false;
    int generation = 90;  // of the emulated GPU: 80 has no tensor memory accelerator and no wgmma
};
Settings& settings();

// What kernels did since the last reset. Bytes are those of ldg, stg, cp_async and the tensor memory accelerator.
struct Counters {
    uint64_t launches = 0, blocks = 0;
    uint64_t bytes_loaded = 0, bytes_stored = 0;
    uint64_t barriers = 0;         // block and named barriers, counted per thread
    uint64_t warp_operations = 0;  // shuffles, votes, fragment loads, counted per warp
    uint64_t matrix_products = 0;  // mma.sync and wgmma, counted per warp
    double matrix_flops = 0;       // of these
    uint64_t tensor_copies = 0;    // by the tensor memory accelerator
};
Counters counters();
void reset_counters();

}  // namespace fp::emulated
