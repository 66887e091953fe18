// Which outputs a block computes, and how large its tile is. All of it follows from the shape alone, never from the
// device, so that results are the same everywhere. Plain constexpr, so that a test can check whole grids on the host
// without a GPU.
#pragma once

#include <algorithm>
#include <string_view>

#include "kernels/layout.h"

namespace fp {

// The number of streaming multiprocessors that grids are sized for: an H200's.
constexpr int kProcessors = 132;

// The rates of a device, per second.
struct Device {
    std::string_view name;
    bool measured;  // false: from data sheets, with the rest scaled from the H200 (cuda/plan/devices.cpp)
    int multiprocessors;
    int shared_bytes;  // per multiprocessor
    double l2_bytes;
    double hbm, l2;                         // bytes: read plus written by a copy; from L2 into shared memory
    double ffma, tf32_matrix, bf16_matrix;  // flops; bf16: wgmma from shared memory
    double exponentials;
    double start,
        start_eager;  // seconds between two kernels: in a graph, and launched one by one
};

// The H200 that bench/gpu/run measured (driver 580.159.04, CUDA 13.0, 2026-11-27): copy 4.27 TB/s; L2 9.1 of 16 MiB,
// 9.73 of 4 MiB; wgmma 852 to 881 TFLOP/s for 64 x 64 and wider; exponentials 4.14e12; 0.486 us in a graph. Not
// measured: FFMA and TF32 are the data sheet's at the clock and share of bf16, and so is the start outside graphs.
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

// m x n outputs, each a sum of `depth` products of elements of `element_bytes`, at `peak` flops per second.
struct MatrixProduct {
    int64_t m, n, depth;
    int element_bytes;
    double peak;
    bool split = false;  // the sums are split into parts until the blocks fill the device
};

// The tile of outputs that a block computes.
struct TileSize {
    int m, n;
    bool operator==(const TileSize&) const = default;
};

constexpr int64_t tiles_of(const MatrixProduct& p, TileSize t) { return ceil_div(p.m, t.m) * ceil_div(p.n, t.n); }

struct TileCost {
    TileSize tile;
    double share;      // of the peak that such blocks reach when they fill the device (expected, not measured)
    int resident = 2;  // blocks per multiprocessor
};

// Bytes per second from L2 in kernels whose blocks wait for their own copies: two thirds of L2's rate.
constexpr double kTileLoad = 6.5e12;

// Seconds, in whole waves of blocks: the longer of the products, and of loading the rows and columns of every tile from
// L2 once. With split sums the blocks fill the device, so waves need not be whole; and what of a tile lies outside of
// the product is not loaded.
constexpr double tile_seconds(const MatrixProduct& p, const TileCost& c) {
    const int64_t down = ceil_div(p.m, c.tile.m), across = ceil_div(p.n, c.tile.n);
    const int64_t wave = int64_t(kProcessors) * c.resident;
    const int64_t blocks = p.split ? down * across : round_up(down * across, wave);
    const int64_t lines = p.split ? across * p.m + down * p.n : blocks * (c.tile.m + c.tile.n);
    const double multiply = double(blocks) * double(p.depth) * 2 * c.tile.m * c.tile.n / (p.peak * c.share);
    const double load = double(lines) * double(p.depth) * p.element_bytes / kTileLoad;
    return std::max(multiply, load);
}

// The fastest tile: large ones have more reuse, small ones waste less at the edges.
template <size_t kChoices>
constexpr TileCost best_tile(const MatrixProduct& p, const TileCost (&choices)[kChoices]) {
    TileCost best = choices[0];
    for (const TileCost& c : choices)
        if (tile_seconds(p, c) < tile_seconds(p, best)) best = c;
    return best;
}

// The expected time of a kernel that also reads and writes `bytes` of memory once.
template <size_t kChoices>
constexpr double expected_seconds(const MatrixProduct& p, const TileCost (&choices)[kChoices], double bytes) {
    return kDevice.start + std::max(tile_seconds(p, best_tile(p, choices)), bytes / kDevice.hbm);
}

// Tiles of the float32 kernels on the ordinary cores (gemm.cuh). For its 8 x 8, 8 x 4 or 4 x 4 outputs a thread reads
// 1, 1.5 or 2 bytes of shared memory per multiply-add.
constexpr TileCost kFfmaTiles[] = {{{128, 128}, 0.80}, {{128, 64}, 0.70}, {{64, 64}, 0.55}};

// Tiles on the tensor cores through mma.sync (mma_tile.cuh). For its 64 x 32, 32 x 32 or 32 x 16 outputs a warp reads
// 96, 128 or 192 bytes of shared memory per 1024 multiply-adds in bf16 (TF32: twice the bytes at half the rate). At 128
// bytes per clock that allows 2/3, 1/2 or 1/3 of 2048 multiply-adds per clock, of which we expect 60 %.
constexpr TileCost kTensorTiles[] = {
    {{128, 128}, 0.40}, {{128, 64}, 0.30}, {{64, 128}, 0.30}, {{64, 64}, 0.20}, {{128, 32}, 0.20}};

// A long sum split into parts so that `tiles` tiles fill the device. The length of a part is a multiple of `step`, and
// at least `least`.
struct Split {
    int64_t length, part;
    constexpr int parts() const { return int(ceil_div(length, part)); }
};
constexpr Split split_sum(int64_t length, int64_t tiles, int step, int64_t least) {
    const int64_t wanted = ceil_div(int64_t(kProcessors) * 4, tiles);
    const int64_t parts = std::clamp<int64_t>(wanted, 1, ceil_div(length, least));
    return {.length = length, .part = round_up(ceil_div(length, parts), step)};
}

// The same for kernels with one block per multiprocessor. Takes the number of parts with the least total time, counted
// in steps: the steps of a part, the constant cost of a block (start, storing its sums), and the addition of the parts.
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
