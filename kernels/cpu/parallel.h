// How the host's kernels divide work. The pieces depend on the problem, never on the number of threads, so that a sum
// over pieces has the same bits on every machine. They are small and assigned one by one, so that a thread that loses
// its core delays little.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/layout.h"

namespace fp::cpu {

// Elements per piece of a flat loop: 128 KB of floats, a fraction of the L2 cache.
constexpr int64_t kPiece = 1 << 15;

// Calls body(first, last) for the pieces of [0, count).
template <class Body>
void for_pieces(int64_t count, const Body& body) {
    const int64_t pieces = ceil_div(count, kPiece);
#pragma omp parallel for schedule(dynamic) if (pieces > 1)
    for (int64_t i = 0; i < pieces; ++i) body(i * kPiece, std::min(count, (i + 1) * kPiece));
}

}  // namespace fp::cpu
