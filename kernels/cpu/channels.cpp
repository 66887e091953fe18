#include "kernels/cpu/channels.h"

#include <cstring>

#include "kernels/cpu/lanes.h"
#include "kernels/cpu/parallel.h"

namespace fp::cpu {
namespace {

// The sums of one block of channels, in the order of images, so that they do not depend on threads.
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
        out = write == Write::add ? out + float(total[c]) : float(total[c]);
    }
}

}  // namespace

void channel_sums(const Map& m, const float* x, float* sum, Write write) {
    with_block(m.block, [&](auto width) {
#pragma omp parallel for
        for (int block = 0; block < m.blocks(); ++block) {
            sum_block<width>(m, x, block, sum, write);
        }
    });
}

void copy_map(const Map& m, const float* from, float* to) {
    for_pieces(m.stored(), [=](int64_t first, int64_t last) {
        std::memcpy(to + first, from + first, size_t(last - first) * sizeof(float));
    });
}

}  // namespace fp::cpu
