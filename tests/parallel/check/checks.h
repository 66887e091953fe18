// What must hold of the ranks of a run, whichever library they exchange by. Each throws an Error that says what does not.
#pragma once

#include "engine/parallel/comm.h"

namespace fp::testing {

// Host values, device memory, and sums in rank order, of sizes that ranks divide and do not, small and of many megabytes.
void check_collectives(const Comm&, size_t large_bytes);

}  // namespace fp::testing
