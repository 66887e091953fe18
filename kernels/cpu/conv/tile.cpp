#include "kernels/cpu/conv/tile.h"

#include <array>
#include <limits>
#include <utility>

namespace fp::cpu {
namespace {

template <int kLanes, int Q, int K>
void tile(const Reach& reach, const float* x, const float* w, const Outputs& out, int channel, int64_t at) {
    Floats<kBlock> sum[Q][K] = {};
    products<kBlock, kLanes>(reach, x, w, sum);
    write(out, channel, at, sum);
}

template <int kLanes, int K, int... kQ>
constexpr auto tiles_of(std::integer_sequence<int, kQ...>) {
    return std::array<Tile, sizeof...(kQ)>{tile<kLanes, kQ + 1, K>...};
}

template <int kLanes>
Tile find(int pixels, int blocks) {
    Tile found = nullptr;
    with_constant<kMostBlocks>(blocks, [&](auto k) {
        static constexpr auto tiles = tiles_of<kLanes, k>(std::make_integer_sequence<int, most_pixels(k)>());
        found = tiles[size_t(pixels - 1)];
    });
    return found;
}

// Cycles of one multiply-add of every sum: two multiply-adds or two loads a cycle, and no sum twice in four.
double cycles(int pixels, int blocks) {
    const double loads = blocks + (kByLane ? pixels / double(kBlock) : pixels);
    return std::max({pixels * blocks / 2.0, loads / 2.0, 4.0});
}

}  // namespace

Tile tile_for(int pixels, int blocks, int lanes) {
    switch (lanes) {
        case 1:
            return find<1>(pixels, blocks);
        case 3:
            return find<3>(pixels, blocks);
        case 7:
            return find<7>(pixels, blocks);
        default:
            return find<kBlock>(pixels, blocks);
    }
}

int blocks_for(int64_t pixels, int k_blocks) {
    int best = 1;
    double least = std::numeric_limits<double>::infinity();
    for (int k = 1; k <= std::min(kMostBlocks, k_blocks); ++k) {
        const int64_t groups = ceil_div(k_blocks, k), parts = ceil_div(pixels, most_pixels(k));
        double cost = 0;
        for (int64_t g = 0; g < groups; ++g)
            for (int64_t p = 0; p < parts; ++p)
                cost += cycles(int(first_of(p + 1, parts, pixels) - first_of(p, parts, pixels)),
                               int(first_of(g + 1, groups, k_blocks) - first_of(g, groups, k_blocks)));
        if (cost < least) {
            least = cost;
            best = k;
        }
    }
    return best;
}

}  // namespace fp::cpu
