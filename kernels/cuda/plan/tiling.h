// Who computes what: from a block's number to the outputs it owns, and how large a block's share is. All
// of it follows from the shape alone, never from the device, so that results are the same everywhere.
// Plain constexpr, so that a test can walk a whole grid on the host with no GPU.
#pragma once

#include <algorithm>
#include <string_view>

#include "kernels/layout.h"

namespace fp {

// What the sizes below aim at: an H200's streaming multiprocessors.
constexpr int kProcessors = 132;

// What a device can do, a second.
struct Device {
    std::string_view name;
    bool measured;  // else from data sheets, and what they do not say scaled from the H200 (cuda/plan/devices.cpp)
    int multiprocessors;
    int shared_bytes;  // of one multiprocessor
    double l2_bytes;
    double hbm, l2;                         // bytes: read and written by a copy; from L2 into shared memory
    double ffma, tf32_matrix, bf16_matrix;  // flops; bf16: wgmma from shared memory
    double exponentials;
    double start,
        start_eager;  // seconds from a kernel to the next: in a graph, and launched one by one
};

// The H200 that bench/gpu/run measured (driver 580.159.04, CUDA 13.0, 2026-11-27): copy 4.27 TB/s; L2 9.1 of 16 MiB, 9.73 of
// 4 MiB; wgmma 852 to 881 TFLOP/s for 64 x 64 and wider; exponentials 4.14e12; 0.486 us in a graph. Not measured: FFMA
// and TF32 are the data sheet's at the clock and share of bf16, and so is the start outside graphs.
constexpr Device kDevice{.name = "NVIDIA H200",
                         .measured = true,
                         .multiprocessors = 132,
                         .shared_bytes = 228 * 1024,
                         .l2_bytes = 50e6,
                         .hbm = 4.27e12,
                         .l2 = 9.4e12,
                         .ffma = 60e12,
                         .tf32_matrix = 430e12,
                         .bf16_matrix = 860e12,
                         .exponentials = 4.1e12,
                         .start = 0.5e-6,
                         .start_eager = 2e-6};

// m x n outputs, each a sum of `depth` products of elements of `element_bytes`, at `peak` flops a second.
struct MatrixProduct {
    int64_t m, n, depth;
    int element_bytes;
    double peak;
    bool split = false;  // the sums are cut into parts until the blocks fill the device
};

// The tile of outputs that a block owns.
struct TileSize {
    int m, n;
    bool operator==(const TileSize&) const = default;
};

constexpr int64_t tiles_of(const MatrixProduct& p, TileSize t) { return ceil_div(p.m, t.m) * ceil_div(p.n, t.n); }

struct TileCost {
    TileSize tile;
    double share;      // of the peak that a full device of such blocks reaches (expected, not measured)
    int resident = 2;  // blocks on one multiprocessor
};

// Bytes a second that blocks which wait for their own copies bring from L2: two thirds of what it gives.
constexpr double kTileLoad = 6.5e12;

// Seconds in whole waves of blocks, the longer of two: the products, or the rows and columns of every
// block's tile on their way from L2, each once. Where a sum is cut into parts blocks fill the device, and what
// of a tile lies outside the product is not brought.
constexpr double tile_seconds(const MatrixProduct& p, const TileCost& c) {
    const int64_t down = ceil_div(p.m, c.tile.m), across = ceil_div(p.n, c.tile.n);
    const int64_t wave = int64_t(kProcessors) * c.resident;
    const int64_t blocks = p.split ? down * across : round_up(down * across, wave);
    const int64_t lines = p.split ? across * p.m + down * p.n : blocks * (c.tile.m + c.tile.n);
    const double multiply = double(blocks) * double(p.depth) * 2 * c.tile.m * c.tile.n / (p.peak * c.share);
    const double load = double(lines) * double(p.depth) * p.element_bytes / kTileLoad;
    return std::max(multiply, load);
}

// The tile that takes least: a large one has more reuse, a small one less waste.
template <size_t kChoices>
constexpr TileCost best_tile(const MatrixProduct& p, const TileCost (&choices)[kChoices]) {
    TileCost best = choices[0];
    for (const TileCost& c : choices)
        if (tile_seconds(p, c) < tile_seconds(p, best)) best = c;
    return best;
}

// What a kernel should take that reads and writes `bytes` of memory once.
template <size_t kChoices>
constexpr double expected_seconds(const MatrixProduct& p, const TileCost (&choices)[kChoices], double bytes) {
    return kDevice.start + std::max(tile_seconds(p, best_tile(p, choices)), bytes / kDevice.hbm);
}

// Tiles of the float32 kernels on the ordinary cores (gemm.cuh). A thread's 8 x 8, 8 x 4 or 4 x 4 outputs
// read 1, 1.5 or 2 bytes of shared memory a multiply-add.
constexpr TileCost kFfmaTiles[] = {{{128, 128}, 0.80}, {{128, 64}, 0.70}, {{64, 64}, 0.55}};

// Tiles of the tensor cores through mma.sync (mma_tile.cuh). A warp's 64 x 32, 32 x 32 or 32 x 16 outputs
// read 96, 128 or 192 bytes of shared memory for 1024 multiply-adds of bf16 (TF32: twice the bytes at half
// the rate); 128 bytes a clock then allow 2/3, 1/2 or 1/3 of 2048 a clock, of which we expect 60 %.
constexpr TileCost kTensorTiles[] = {
    {{128, 128}, 0.40}, {{128, 64}, 0.30}, {{64, 128}, 0.30}, {{64, 64}, 0.20}, {{128, 32}, 0.20}};

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

// The same where one block fills a multiprocessor: as many parts as end soonest, counted in steps of a part, what a
// block pays for its start and for writing its sums, and the kernel that adds them.
constexpr Split split_in_waves(int64_t length, int64_t tiles, int step) {
    constexpr int64_t kOfBlock = 8, kOfAdding = 2, kMostWaves = 4;
    const int64_t steps = ceil_div(length, step);
    const int64_t most = std::min(steps, ceil_div(kProcessors * kMostWaves, tiles));
    int64_t best = steps, least = ceil_div(tiles, kProcessors) * (steps + kOfBlock);
    for (int64_t parts = 2; parts <= most; ++parts) {
        const int64_t part = ceil_div(steps, parts);
        const int64_t waves = ceil_div(tiles * ceil_div(steps, part), kProcessors);
        const int64_t time = waves * (part + kOfBlock) + kOfAdding;
        if (time >= least) continue;
        least = time;
        best = part;
    }
    return {.length = length, .part = best * step};
}

}  // namespace fp
