#include "kernels/cpu/channels.h"

#include <algorithm>
#include <cstring>

#include "kernels/error.h"

namespace fp::cpu {
namespace {

// The sums of one block of channels, in image order, so that they do not depend on the threads.
template <int kBlock>
void sum_block(const Map& m, const float* x, int block, float* sum, Write write) {
    double total[kBlock] = {};
    for (int n = 0; n < m.n; ++n) {
        const float* pixel = x + m.at(n, block * kBlock, 0, 0);
        float image[kBlock] = {};
        for (int64_t i = 0; i < m.pixels(); ++i) {
            for (int c = 0; c < kBlock; ++c) image[c] += pixel[i * kBlock + c];
        }
        for (int c = 0; c < kBlock; ++c) total[c] += image[c];
    }
    for (int c = 0; c < kBlock; ++c) {
        float& out = sum[block * kBlock + c];
        out = float(write == Write::add ? out + total[c] : total[c]);
    }
}

}  // namespace

void channel_sums(const Map& m, const float* x, float* sum, Write write) {
    FP_CHECK(m.block == 16 || m.block == 8, "channel sums: blocks of ", m.block, " channels");
#pragma omp parallel for
    for (int block = 0; block < m.blocks(); ++block) {
        m.block == 16 ? sum_block<16>(m, x, block, sum, write)
                      : sum_block<8>(m, x, block, sum, write);
    }
}

void copy_map(const Map& m, const float* from, float* to) {
    constexpr int64_t kPiece = 1 << 14;
#pragma omp parallel for
    for (int64_t at = 0; at < m.stored(); at += kPiece) {
        const int64_t count = std::min(kPiece, m.stored() - at);
        std::memcpy(to + at, from + at, size_t(count) * sizeof(float));
    }
}

}  // namespace fp::cpu
