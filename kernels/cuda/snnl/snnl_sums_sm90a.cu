// Soft nearest neighbour loss on Hopper, second step for cosine: the sums over neighbours (snnl_sums.cu) without shifts.
//
//   all_i  = sum_{near(i,j)} 2^v_ij      v_ij = (u_i.u_j - 1) log2(e) / T
//   same_i = sum_{near, same label} 2^v_ij
//
// Shapes    halves (C,2,N,D); sums (C,groups,sets,2,N) in double, without atomics: a block owns a slot of them, and adds
//           to each of its elements in a fixed order
// Tiles     128 x 128 pairs on or right of the diagonal, in strips: a block goes down 128 columns of pairs and then to
//           the next strip (SnnlWalk). So the sums of the columns stay in registers for up to 16 tiles, and those of a
//           tile's rows, 32 pairs in a thread, need three shuffles.
// Threads   384: one producer thread, in a warpgroup of its own, and two consumer warpgroups of 64 rows each. One
//           block per multiprocessor, which takes one item (channel and group of tiles) after the other.
// Pipeline  Slots of shared memory for a step (64 of D, both fp16 parts) of one side of a tile, 32 KB each, which TMA
//           fills. Up to D = 256 a strip is loaded once and stays while the rows pass by, otherwise rows and columns
//           share the slots. The products of a step are in flight while the consumer adds up the step before: into a
//           second float32 set, since the tensor core truncates, and behind a tile's last step as exponentials into the
//           sums. So exponentials lie under products.
// Accuracy  that of snnl_mma.cuh at every D: the products of 64 of D are added to a float32 sum that starts at 0, and
//           log2(e) / T is subtracted once, from the whole; at one step both are one rounding
// Registers of a consumer thread: 64 of products, 64 exponents, 64 sums of columns; 240 after setmaxnreg
// Traffic   from L2 per tile and step 32 KB of rows, and 32 KB of columns: per strip up to D = 256, else per tile too
// Bound     D >= 64: products, 6 D flops of fp16 per pair (1536 clocks per tile and step), with L2 close behind for D >
//           256; less: exponentials (1024 clocks per tile) and about 10 instructions per pair (1280 clocks). With several
//           label sets about 9 more per pair and set.
// Expected  by the model (snnl_plan.h: H200; not measured), with snnl_prepare.cu, one label set, N, C, D: 128, 512, 49
//           16 us; 1024, 512, 49 0.23 ms; 4096, 256, 196 4.2 ms; 10000, 64, 3136 101 ms; that is 18, 40, 70 and 69 % of
//           the limit of three fp16 products
// Needs     sm_90a; exponents that need no shift (snnl_bounded)
#include "kernels/cuda/snnl/snnl_wgmma.cuh"
#include "kernels/cuda/walks/reduce.cuh"

namespace fp::FP_MACHINE {
namespace {

constexpr int kSumsBarrier = 1, kConsumerThreads = kConsumers * kWarpgroup;
constexpr int kColumnPairs = kUnit / 4;                      // of neighbouring columns of a thread
constexpr int kCopyRegisters = 24, kProductRegisters = 240;  // at launch all have 168
static_assert(kCopyRegisters + 2 * kProductRegisters <= 3 * 168);

// One block per 64 samples and label set.
__global__ void snnl_keys_kernel(
    const int32_t* __restrict__ labels, const int32_t* __restrict__ strata, SnnlKeys keys, int n, int keyed) {
    SHARED(int32_t, near_of, [kSnnlTile]);
    const int i = int(blockIdx.x) * kSnnlTile + thread_index(), set = int(blockIdx.y);
    int32_t label = -1, near = -1;
    if (i < n) label = ldg(labels + int64_t(set) * n + i);
    if (label >= 0) {
        near = 0;
        if (strata)
            for (const int32_t mine = ldg(strata + i); ldg(strata + near) != mine;) ++near;
    }
    const int64_t to = int64_t(set) * keyed + i;
    stg(keys.near + to, near);
    stg(keys.label + to, label < 0 ? -1 : label);
    near_of[thread_index()] = near;
    block_sync();
    if (thread_index() > 0) return;
    for (const int32_t other : near_of)
        if (other != near) near = -1;
    stg(keys.whole + to / kSnnlTile, near);
}

// A thread's sums of columns: all, then same, of 2 x 16 columns each.
struct ColumnSums {
    float sum[kUnit];

    __device__ void clear() {
        UNROLL
        for (float& s : sum) s = 0;
    }
    // Adds the sums of all consumers to the slot's, and starts again from 0. The barriers also order these additions
    // against those of rows, which other threads make.
    __device__ void leave(SnnlMemory& m, double* slot, int n, int strip) {
        const int thread = not_before(thread_index()) - kWarpgroup, lane = thread % kWarp;
        const int first = scatter_over_lanes<Add, 8, 4>(sum);
        UNROLL
        for (int k = 0; k < kUnit / 8; ++k) {
            const int of = (first + k) % (kUnit / 2);
            m.part[thread / kWarp][first / (kUnit / 2)][of / 2 * 8 + lane % 4 * 2 + of % 2] = sum[k];
        }
        named_sync(kSumsBarrier, kConsumerThreads);
        const int which = thread / kSnnlSide, column = thread % kSnnlSide, j = strip * kSnnlSide + column;
        if (j < n) {
            double total = slot[int64_t(which) * n + j];
            for (const auto& part : m.part) total += double(part[which][column]);
            slot[int64_t(which) * n + j] = total;
        }
        named_sync(kSumsBarrier, kConsumerThreads);
        clear();
    }
};

// The samples of a thread's pairs in a tile, for one label set.
struct Neighbours {
    const int32_t *near, *label;  // of the thread's first column
    int32_t near_row[2], label_row[2];
    int ahead;  // the first column's number less the first row's
    bool all_near;

    __device__ Neighbours(const SnnlKeys& keys, int64_t of_set, SnnlWalk::Tile tile, int row) {
        const int column = tile.strip * kSnnlSide + lane_index() % 4 * 2;
        near = keys.near + of_set + column;
        label = keys.label + of_set + column;
        UNROLL
        for (int i = 0; i < 2; ++i) {
            near_row[i] = ldg(keys.near + of_set + row + 8 * i);
            label_row[i] = ldg(keys.label + of_set + row + 8 * i);
            if (near_row[i] < 0) near_row[i] = -2;  // near no column
        }
        // Otherwise the compiler compares before the loop over label sets, and runs out of registers.
        ahead = not_before(column - row);
        const int32_t* whole = keys.whole + of_set / kSnnlTile;
        const int32_t rows = ldg(whole + row / kSnnlTile);
        all_near = !tile.on_diagonal() && rows >= 0 && rows == ldg(whole + tile.strip * 2) &&
                   rows == ldg(whole + tile.strip * 2 + 1);
    }

    // Adds the exponentials e to the sums; row_sums: all, then same, of two rows.
    template <bool kAllNear>
    __device__ void add(const float (&e)[kUnit], float (&row_sums)[4], ColumnSums& columns) const {
        UNROLL
        for (int j = 0; j < kColumnPairs; ++j) {
            const uint2 labels = ldg(reinterpret_cast<const uint2*>(label + 8 * j));
            uint2 nears{};
            if (!kAllNear) nears = ldg(reinterpret_cast<const uint2*>(near + 8 * j));
            UNROLL
            for (int c = 0; c < 2; ++c) {
                UNROLL
                for (int i = 0; i < 2; ++i) {
                    const auto near_column = int32_t(c ? nears.y : nears.x),
                               label_column = int32_t(c ? labels.y : labels.x);
                    const bool counts = kAllNear || (near_row[i] == near_column && ahead + 8 * (j - i) + c > 0);
                    const bool same = counts && label_row[i] == label_column;
                    const float v = e[4 * j + 2 * i + c];
                    if (counts) row_sums[i] += v, columns.sum[2 * j + c] += v;
                    if (same) row_sums[2 + i] += v, columns.sum[kUnit / 2 + 2 * j + c] += v;
                }
            }
        }
    }
};

// Adds a unit's exponents v as exponentials to the sums of its rows and columns, for every label set.
__device__ void add_unit(float (&v)[kUnit],
                         ColumnSums& columns,
                         SnnlMemory& m,
                         const SnnlSizes& s,
                         const SnnlKeys& keys,
                         double* slot,
                         SnnlWalk::Tile tile,
                         int row,
                         bool leaves) {
    UNROLL
    for (float& e : v) e = fast_exp2(e);
    for (int set = 0; set < s.sets; ++set) {
        double* const of_set = slot + int64_t(set) * 2 * s.n;
        const Neighbours pairs(keys, int64_t(set) * s.keyed(), tile, row);
        float row_sums[4] = {};
        if (pairs.all_near)
            pairs.add<true>(v, row_sums, columns);
        else
            pairs.add<false>(v, row_sums, columns);
        const int mine = scatter_over_lanes<Add, 4, 1>(row_sums), i = row + mine % 2 * 8;
        if (i < s.n) of_set[int64_t(mine / 2) * s.n + i] += double(row_sums[0]);
        if (leaves || s.sets > 1) columns.leave(m, of_set, s.n, tile.strip);
    }
}

__global__ void __launch_bounds__(kRingThreads, 1) snnl_wgmma_kernel(const __grid_constant__ TensorMap halves,
                                                                     const __grid_constant__ SnnlScratch in,
                                                                     const __grid_constant__ SnnlSizes s) {
    DYN_SHARED(SnnlMemory, memory);
    SnnlMemory& m = *memory;
    if (thread_index() == 0) {
        m.columns.init();
        m.rows.init();
        mbarrier_init_fence();
    }
    block_sync();
    const int warpgroup = warpgroup_index();
    if (warpgroup == 0) {
        keep_registers<kCopyRegisters>();
        if (shuffle(warp_index(), 0) == 0 && elect_one()) {
            prefetch_map(halves);
            bring_samples(m, halves, s);
        }
        return;
    }
    take_registers<kProductRegisters>();

    const int consumer = warpgroup - 1, thread = thread_index() - kWarpgroup;
    const int first_row = thread / kWarp * kWarpRows + lane_index() / 4;  // of a tile
    const float scale = s.sharpness / (s.half_scale * s.half_scale);
    SnnlProducts products(m, s, consumer);
    const bool one_step = products.steps.steps == 1;
    const float start = one_step ? -s.sharpness : 0;  // of an exponent
    ColumnSums columns;
    columns.clear();
    for (int item = int(blockIdx.x); item < SnnlItem::count(s); item += int(gridDim.x)) {
        const SnnlItem at(s, item);
        const SnnlWalk walk(s.n, s.wgmma_groups, at.group);
        double* const slot = in.sums + (int64_t(at.channel) * s.groups + at.group) * s.sums();
        for (int64_t i = thread; i < s.sums(); i += kConsumerThreads) slot[i] = 0;
        named_sync(kSumsBarrier, kConsumerThreads);

        float part[kUnit], v[kUnit];  // products of the step in flight; exponents, or their sums so far
        int step = 0;
        auto tile = walk.first();
        if (!walk.exists(tile)) continue;
        products.start(walk, tile, step, part);
        for (bool more = true; more;) {
            const auto now = tile;
            const bool last = step + 1 == products.steps.steps;
            products.finish(part);
            if (step == 0) {
                UNROLL
                for (int i = 0; i < kUnit; ++i) v[i] = fused_multiply_add(part[i], scale, start);
            } else {
                UNROLL
                for (int i = 0; i < kUnit; ++i) v[i] = fused_multiply_add(part[i], scale, v[i]);
            }
            step = last ? 0 : step + 1;
            if (last) tile = walk.behind(tile);
            more = walk.exists(tile);
            if (more) products.start(walk, tile, step, part);
            if (!last) continue;
            if (!one_step) {
                UNROLL
                for (float& e : v) e -= s.sharpness;
            }
            const bool leaves = walk.leaves_behind(now);
            add_unit(v, columns, m, s, in.keys, slot, now, now.row * kSnnlSide + first_row, leaves);
        }
        wgmma_wait<0>(part);  // none are in flight, which the compiler does not see
    }
}

}  // namespace

void snnl_sum_wgmma(
    const SnnlSizes& s, const int32_t* labels, const int32_t* strata, const SnnlScratch& scratch, Stream stream) {
    launch(snnl_keys_kernel, Grid{.blocks = s.keyed() / kSnnlTile, .blocks_y = s.sets, .threads = kSnnlTile}, stream,
           labels, strata, scratch.keys, s.n, s.keyed());
    const Grid grid{
        .blocks = std::min(s.c * s.groups, kProcessors), .threads = kRingThreads, .shared_bytes = sizeof(SnnlMemory)};
    launch(snnl_wgmma_kernel, grid, stream, snnl_map(s, scratch.halves), scratch, s);
}

}  // namespace fp::FP_MACHINE
