// The cosines of tiles of pairs on Hopper's warpgroup matrix instructions, at the precision of float32: the main loop of
// snnl_sums_sm90a.cu, whose head describes the kernel. The formula is that of snnl_mma.cuh. Of each 64 of D the products
// of the small parts are added first.
#pragma once

#include "kernels/cuda/products/wgmma_ring.cuh"
#include "kernels/cuda/snnl/snnl.cuh"

namespace fp::FP_MACHINE {

constexpr int kPartBytes = kSnnlSide * kRowBytes;  // one fp16 part of a step's samples
constexpr int kSlotBytes = 2 * kPartBytes;
constexpr int kUnit = kProductRows * kSnnlSide / kWarpgroup;  // a thread's pairs of a tile: 2 rows x 32 columns

struct SnnlRing {
    Mbarrier full[kSnnlSlots], empty[kSnnlSlots];
    __device__ void init() {
        for (int i = 0; i < kSnnlSlots; ++i) {
            mbarrier_init(&full[i], 1);
            mbarrier_init(&empty[i], kConsumers * kGroupWarps);  // one lane per consumer warp arrives
        }
    }
    __device__ void release(int slot) {
        if (lane_index() == 0) mbarrier_arrive(&empty[slot]);
    }
};

struct SnnlMemory {
    unsigned char slot[kSnnlSlots][kSlotBytes];  // those of columns, then those of rows
    float part[kConsumers * kGroupWarps][2][kSnnlSide];
    SnnlRing columns, rows;
};

// What a block sums next: a channel of the range, and a group of its tiles. Of every channel another group comes first,
// since some have more tiles.
struct SnnlItem {
    int channel, group;
    __device__ SnnlItem(const SnnlSizes& s, int item)
        : channel(item / s.groups), group((item + s.first + channel) % s.groups) {}
    __device__ static int count(const SnnlSizes& s) { return s.c * s.groups; }
};

inline TensorMap snnl_map(const SnnlSizes& s, const f16* halves) {
    return encode({.base = halves,
                   .rank = 3,
                   .size = {s.stored_h, s.n, int64_t(s.c) * 2},
                   .stride = {1, s.stored_h, int64_t(s.n) * s.stored_h},
                   .box = {kSnnlDepth, kSnnlSide, 2}});
}

// The producer thread: starts all copies of a block.
__device__ inline void bring_samples(SnnlMemory& m, const TensorMap& halves, const SnnlSizes& s) {
    const SnnlSteps steps(s.d);
    RingPlace strip, row;  // strip: of the first step of the present one
    const auto bring = [&](SnnlRing& ring, const RingPlace& place, int slot, int step, int tile, int channel) {
        mbarrier_wait(&ring.empty[place.stage], place.parity ^ 1);
        mbarrier_arrive_expect(&ring.full[place.stage], kSlotBytes);
        tensor_load_3d(m.slot[slot], halves, step * kSnnlDepth, tile * kSnnlSide, channel * 2, &ring.full[place.stage]);
    };
    for (int item = int(blockIdx.x); item < SnnlItem::count(s); item += int(gridDim.x)) {
        const SnnlItem at(s, item);
        const SnnlWalk walk(s.n, s.wgmma_groups, at.group);
        for (auto tile = walk.first(); walk.exists(tile); tile = walk.behind(tile)) {
            const bool fresh = !steps.resident || walk.begins_strip(tile);
            RingPlace column = strip;
            for (int step = 0; step < steps.steps; ++step) {
                if (fresh) bring(m.columns, column, column.stage, step, tile.strip, at.channel);
                bring(m.rows, row, steps.column_slots + row.stage, step, tile.row, at.channel);
                column.next(steps.column_slots);
                row.next(steps.row_slots);
            }
            if (!steps.resident || walk.ends_strip(tile)) strip = column;
        }
    }
}

// The products of one consumer warpgroup: 64 rows of a tile with all its columns. Of thread t, lane l = t % 32, pair
// (i, j, e) of the unit is row 16 (t / 32) + l / 4 + 8 i and column 8 j + 2 (l % 4) + e, at 4 j + 2 i + e.
struct SnnlProducts {
    SnnlMemory& m;
    SnnlSteps steps;
    int consumer;
    RingPlace strip = {}, column = {}, row = {};
    int column_slot = 0, row_slot = 0;  // of the products in flight
    bool frees = false;                 // the strip's slot with them

    __device__ SnnlProducts(SnnlMemory& memory, const SnnlSizes& s, int which)
        : m(memory), steps(s.d), consumer(which) {}

    // Issues the products of a step.
    __device__ void start(const SnnlWalk& walk, SnnlWalk::Tile tile, int step, float (&part)[kUnit]) {
        if (step == 0) column = strip;
        column_slot = column.stage;
        row_slot = row.stage;
        frees = !steps.resident || walk.ends_strip(tile);
        mbarrier_wait(&m.columns.full[column_slot], column.parity);
        mbarrier_wait(&m.rows.full[row_slot], row.parity);
        const uint64_t b = row_descriptor(m.slot[column_slot]);
        const uint64_t a = row_descriptor(m.slot[steps.column_slots + row_slot] + consumer * kProductRows * kRowBytes);
        const int deep = step + 1 < steps.steps ? kSnnlDepth / kProductDepth : steps.last;
        if (deep == 4)
            multiply<4>(a, b, part);
        else if (deep == 3)
            multiply<3>(a, b, part);
        else if (deep == 2)
            multiply<2>(a, b, part);
        else
            multiply<1>(a, b, part);
        column.next(steps.column_slots);
        row.next(steps.row_slots);
        if (step + 1 == steps.steps && frees) strip = column;
    }
    // Waits for them.
    __device__ void finish(float (&part)[kUnit]) {
        wgmma_wait<0>(part);
        m.rows.release(row_slot);
        if (frees) m.columns.release(column_slot);
    }

private:
    template <int kDeep>
    __device__ static void multiply(uint64_t a, uint64_t b, float (&part)[kUnit]) {
        constexpr uint64_t kSmall = kPartBytes / 16, kNext = kProductDepth * sizeof(f16) / 16;
        const uint64_t rows[] = {a + kSmall, a, a}, columns[] = {b, b + kSmall, b};
        wgmma_fence();
        UNROLL
        for (int p = 0; p < 3; ++p) {
            UNROLL
            for (uint64_t k = 0; k < kDeep; ++k)
                wgmma_f16<kSnnlSide>(part, rows[p] + k * kNext, columns[p] + k * kNext, p > 0 || k > 0);
        }
        wgmma_commit();
    }
};

}  // namespace fp::FP_MACHINE
