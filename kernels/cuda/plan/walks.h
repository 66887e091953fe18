// In which order the memory-bound kernels process a map: which packs of 16 bytes a thread owns. All of it follows from
// the shape alone, never from the device, so that results are the same everywhere. Plain constexpr, so that a test can
// check whole grids on the host (tests/kernels/test_walks.cpp).
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cuda/plan/tiling.h"
#include "kernels/error.h"

namespace fp {

// The packs of one thread of a Swath: `count` packs from `first` on, `stride` apart, each of them pack number `pack` of
// its pixel. `chunk` is the number of its block's part of the map.
struct SwathPlace {
    int pack, chunk, count, first, stride;
    constexpr int at(int i) const { return first + i * stride; }
};

// A map as rows (its pixels) of packs. A step is `across` packs by `down` rows, one pack per thread. A block processes
// `run` steps: of a stretch of `abreast * run` steps, each of `abreast` blocks takes every abreast-th one, so that
// blocks that run at the same time read neighbouring memory.
struct Swath {
    static constexpr int kThreads = 256, kMostAcross = 32;
    static constexpr int kResident = 3;                                             // blocks per multiprocessor
    static constexpr int64_t kMostPacks = (int64_t(1) << 31) - (int64_t(1) << 24);  // 34 GB: indices are 32 bits

    int rows, packs;
    int groups, across, down;
    int run, abreast, stretches;

    constexpr int chunks() const { return abreast * stretches; }
    constexpr int64_t blocks() const { return int64_t(chunks()) * groups; }
    constexpr int group_of(int block) const { return block % groups; }

    // The packs of a thread. With from_end the order of the blocks and of each thread's steps is reversed.
    constexpr SwathPlace place(int block, int thread, bool from_end) const {
        const int pack = group_of(block) * across + thread % across;
        const int from_begin = block / groups;
        const int chunk = from_end ? chunks() - 1 - from_begin : from_begin;
        const int stretch = chunk / abreast, lane = chunk % abreast;
        const int row = (stretch * abreast * run + lane) * down + thread / across;
        const int step = abreast * down;
        if (pack >= packs || thread / across >= down || row >= rows) return {pack, chunk, 0, 0, 0};
        const int count = std::min(run, (rows - 1 - row) / step + 1);
        const int first = row * packs + pack, stride = step * packs;
        if (from_end) return {pack, chunk, count, first + (count - 1) * stride, -stride};
        return {pack, chunk, count, first, stride};
    }
    constexpr int64_t rows_of_chunk() const { return int64_t(run) * down; }  // where abreast is 1
};

// `pack`: channels in 16 bytes. Blocks process at most `most_run` steps, or more where there would otherwise be more
// than `most_stretches` stretches.
inline Swath swath_of(const Map& m, int pack, int64_t most_abreast, int64_t most_run, int64_t most_stretches) {
    FP_CHECK(m.stored() / pack <= Swath::kMostPacks, "a map of ", m.stored() / pack, " packs of 16 bytes; the most is ",
             Swath::kMostPacks);
    const int64_t rows = int64_t(m.n) * m.pixels(), packs = m.stored_c() / pack;
    const int64_t groups = ceil_div(packs, Swath::kMostAcross), across = ceil_div(packs, groups);
    const int64_t down = Swath::kThreads / across, steps = ceil_div(rows, down);
    const int64_t abreast = std::clamp<int64_t>(most_abreast / groups, 1, steps);
    const int64_t run =
        std::max(std::min(ceil_div(steps, abreast), most_run), ceil_div(steps, abreast * most_stretches));
    return {.rows = int(rows),
            .packs = int(packs),
            .groups = int(groups),
            .across = int(across),
            .down = int(down),
            .run = int(run),
            .abreast = int(abreast),
            .stretches = int(ceil_div(steps, abreast * run))};
}

constexpr int64_t kSwathBlocks = int64_t(kProcessors) * Swath::kResident, kSwathRun = 16;

// For a kernel that writes a map.
inline Swath swath_of_map(const Map& m, int pack) {
    return swath_of(m, pack, kSwathBlocks, kSwathRun, int64_t(1) << 30);
}
// For a kernel that writes sums per chunk, with `resident` blocks per multiprocessor: one chunk per block that is
// resident, because another kernel adds the chunks.
inline Swath swath_of_sums(const Map& m, int pack, int resident = Swath::kResident) {
    return swath_of(m, pack, int64_t(kProcessors) * resident, kSwathRun, 1);
}
// For a kernel that writes moments: the rows of a chunk are consecutive.
inline Swath swath_of_moments(const Map& m, int pack) {
    const int64_t groups = ceil_div(m.stored_c() / pack, Swath::kMostAcross);
    return swath_of(m, pack, 1, 1, std::max<int64_t>(1, 4 * kSwathBlocks / groups));
}

// Division of numbers below 2^31 by a constant, as a multiplication (Granlund, Montgomery 1994).
struct Divider {
    uint32_t by, multiply, shift;

    static constexpr Divider of(int64_t by) {
        uint32_t shift = 0;
        while ((int64_t(1) << shift) < by) ++shift;
        const auto multiply = uint32_t((((uint64_t(1) << shift) - uint64_t(by)) << 32) / uint64_t(by) + 1);
        return {uint32_t(by), multiply, shift};
    }
    // Returns the remainder; `n` becomes the quotient.
    constexpr int take(uint32_t& n) const {
        const auto high = uint32_t((uint64_t(n) * multiply) >> 32);
        const uint32_t quotient = (high + n) >> shift, rest = n - quotient * by;
        n = quotient;
        return int(rest);
    }
};

// The part of one thread of Columns: rows [first, end) of a column, in one pack of one sample.
struct ColumnPlace {
    int pack, column, first, end, sample, chunk;
    bool inside;
};

// Threads over the columns of a map: a block is `across` packs by `down` elements of (sample, run of rows, column), and
// a thread processes the rows of its run from top to bottom.
struct Columns {
    static constexpr int kThreads = 256, kMostAcross = 32;

    int packs, groups, across, down;
    int run, rows;   // rows per thread, and of the map
    uint32_t count;  // number of (sample, run, column)
    Divider by_group, by_across, by_column, by_run;

    // Whether 32 bits can index the elements of `m`, the largest map that the kernel accesses.
    static constexpr bool hold(const Map& m) { return m.stored() < (int64_t(1) << 31); }

    // One thread per pack (`pack` channels of a pixel) and run of at most `most_run` rows of `m`.
    static constexpr Columns of(const Map& m, int pack, int most_run) {
        const int packs = m.stored_c() / pack;
        const int groups = int(ceil_div(packs, kMostAcross)), across = int(ceil_div(packs, groups));
        const int run = int(ceil_div(m.h, ceil_div(m.h, most_run)));
        const int64_t runs = ceil_div(m.h, run);
        return {.packs = packs,
                .groups = groups,
                .across = across,
                .down = kThreads / across,
                .run = run,
                .rows = m.h,
                .count = uint32_t(m.n * runs * m.w),
                .by_group = Divider::of(groups),
                .by_across = Divider::of(across),
                .by_column = Divider::of(m.w),
                .by_run = Divider::of(runs)};
    }
    constexpr int64_t chunks() const { return ceil_div(count, down); }
    constexpr int64_t blocks() const { return chunks() * groups; }
    constexpr ColumnPlace place(uint32_t block, uint32_t thread) const {
        const int group = by_group.take(block);
        const int pack = group * across + by_across.take(thread);
        uint32_t at = block * uint32_t(down) + thread;
        const bool inside = pack < packs && int(thread) < down && at < count;
        const int column = by_column.take(at), first = by_run.take(at) * run;
        return {.pack = pack,
                .column = column,
                .first = first,
                .end = std::min(first + run, rows),
                .sample = int(at),
                .chunk = int(block),
                .inside = inside};
    }
};

}  // namespace fp
