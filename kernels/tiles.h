// Who computes what: from a block's number to the outputs it owns, and how large a block's share is. All
// of it follows from the shape alone, never from the device, so that results are the same everywhere.
// Plain constexpr, so that a test can walk a whole grid on the host with no GPU.
#pragma once

#include <algorithm>

#include "kernels/layout.h"

namespace fp {

// What the sizes below aim at: an H200's streaming multiprocessors.
constexpr int kProcessors = 132;

// A batch of feature maps as the channelwise kernels walk it: `rows` pixels, each of `packs` packs of 16
// bytes. A block is 8 packs across (a 128-byte line) and 32 threads down; it owns one chunk of rows, and a
// thread every 32nd row of it, so that what belongs to a channel is loaded once for many rows.
struct Sheet {
    static constexpr int kAcross = 8, kDown = 32, kThreads = kAcross * kDown;

    int64_t rows;
    int packs;

    constexpr int groups() const { return int(ceil_div(packs, kAcross)); }
    constexpr int64_t rows_per_chunk() const {
        const int64_t chunks = std::max<int64_t>(1, kProcessors * 8 / groups());
        return std::max<int64_t>(2 * kDown, round_up(ceil_div(rows, chunks), kDown));
    }
    constexpr int64_t chunks() const { return ceil_div(rows, rows_per_chunk()); }
};

constexpr Sheet sheet_of(const Map& m, int pack) {
    return {.rows = int64_t(m.n) * m.pixels(), .packs = m.stored_c() / pack};
}

// The tiles of a matrix product: m x n outputs, of which a block owns tile_m x tile_n.
struct TileSize {
    int m, n;
    bool operator==(const TileSize&) const = default;
};

struct TileCost {
    TileSize tile;
    double share;  // of the peak that a full block of this size reaches (expected, not measured)
};

// The tile whose whole waves take least: a large one has more reuse, a small one less waste.
template <size_t kChoices>
constexpr TileSize best_tile(int64_t m, int64_t n, const TileCost (&choices)[kChoices]) {
    constexpr int kResident = 2;  // blocks on one multiprocessor
    TileSize best = choices[0].tile;
    double least = -1;
    for (const TileCost& c : choices) {
        const int64_t blocks = ceil_div(m, c.tile.m) * ceil_div(n, c.tile.n);
        const int64_t waves = ceil_div(blocks, int64_t(kProcessors) * kResident);
        const double cost = double(waves) * c.tile.m * c.tile.n / c.share;
        if (least < 0 || cost < least) least = cost, best = c.tile;
    }
    return best;
}

// A long sum cut into parts so that `tiles` tiles fill the device; a part is a multiple of `step` and at
// least `least` long.
struct Split {
    int64_t length, part;
    constexpr int parts() const { return int(ceil_div(length, part)); }
};
constexpr Split split_sum(int64_t length, int64_t tiles, int step, int64_t least) {
    const int64_t wanted = ceil_div(int64_t(kProcessors) * 4, tiles);
    const int64_t parts = std::clamp<int64_t>(wanted, 1, ceil_div(length, least));
    return {.length = length, .part = round_up(ceil_div(length, parts), step)};
}

}  // namespace fp
