// How the host's kernels share out work. The pieces are fixed by the problem, never by the number of
// threads, so a sum over pieces has the same bits on every machine; they are small and handed out one by
// one, so a thread that loses its core holds up little.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/layout.h"

namespace fp::cpu {

// Elements of one piece of a flat pass: 128 KB of float, a fraction of the second-level cache.
constexpr int64_t kPiece = 1 << 15;

// body(first, last) for the pieces of [0, count).
template <class Body>
void for_pieces(int64_t count, const Body& body) {
    const int64_t pieces = ceil_div(count, kPiece);
#pragma omp parallel for schedule(dynamic) if (pieces > 1)
    for (int64_t i = 0; i < pieces; ++i) body(i * kPiece, std::min(count, (i + 1) * kPiece));
}

}  // namespace fp::cpu
