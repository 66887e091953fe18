// Sums and copies over maps, beside what oneDNN computes.
#pragma once

#include <algorithm>

#include "kernels/kernels.h"

namespace fp::onednn {

// sum[c] = or += sum_nhw x[n,c,h,w] for all stored channels.
inline void channel_sums(const Map& m, const float* x, float* sum, Write write) {
    const int64_t plane = m.pixels() * m.block;
#pragma omp parallel for
    for (int c = 0; c < m.stored_c(); ++c) {
        double total = write == Write::add ? sum[c] : 0;
        for (int n = 0; n < m.n; ++n) {
            const float* const pixels = x + (int64_t(n) * m.blocks() + c / m.block) * plane + c % m.block;
            for (int64_t i = 0; i < m.pixels(); ++i) total += pixels[i * m.block];
        }
        sum[c] = float(total);
    }
}

inline void copy_map(const Map& m, const float* from, float* to) {
    const int64_t plane = m.stored() / m.n;
#pragma omp parallel for
    for (int n = 0; n < m.n; ++n) std::copy_n(from + n * plane, plane, to + n * plane);
}

}  // namespace fp::onednn
