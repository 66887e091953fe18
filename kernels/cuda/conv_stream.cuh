// Outputs that are pixels in bf16 on Hopper, as conv_wgmma.cuh has them, by blocks that stay: one a multiprocessor, each
// of which goes through many tiles. While some of its warpgroups write a tile others multiply, and the copies of the
// next tile are on their way.
//
// Formulas  those of conv_wgmma.cuh
// Threads   a warpgroup of which one thread starts copies, and two or three that multiply 64 or 128 pixels each
// Pipeline  a ring of stages, as many as shared memory holds, that goes on from tile to tile. The warpgroups keep a
//           distance from each other (`skew` steps, set once): so they reach their tile's end one after the other, and
//           the tensor cores have work all the time. Nothing holds them together but the ring.
// Patches   of a 3x3 window at stride 1: a chunk's pixels come once, not once a tap. A batch is read as one line of
//           pixels, with a pixel of zeros behind each row and a row of zeros behind each map (the im2col copy's own
//           order, in a box with one column and one row more than the map). In it a tap is a fixed distance
//           away: the rows of shared memory where a product begins. Outputs on the zeros are computed and dropped:
//           (H+1) (W+1) / (H W) of the work, 1.04 at 56x56. Filters go through the ring alone; where all of them
//           fit they stay.
// Epilogue  pieces of 16 rows x 64 outputs, two a warp in turns: the residual of one comes while the other is worked
//           on; rows of 128 bytes, whose 16-byte parts are exchanged by the row's number, so no bank is asked twice
// Moments   a chunk is one warpgroup's pixels of a tile, so that warpgroups need not meet. A warp sums about its own
//           first row; such sums are shifted to one base and added: no division but one a column.
// Traffic   im2col: bytes of conv_wgmma.cuh; patches: pixels (1 + 2 (W+2) / rows) times, filters once a tile (or once
//           a block). Tiles side by side follow each other, so HBM sees the pixels once.
// Bound     products; in 1x1 windows of few channels HBM
#pragma once

#include "kernels/cuda/conv_wgmma.cuh"

namespace fp::FP_MACHINE {

constexpr int kMostStages = 12, kPatches = 2, kPatchSide = 3, kPatchTaps = kPatchSide * kPatchSide;
constexpr int kPiece = 64;  // outputs that leave together
constexpr int kPieceBytes = kWarpRows * kRowBytes;

// What the host lays down for a launch.
struct StreamPlan {
    int tiles, across;  // all of them, and how many lie side by side
    int whole;          // rows of tiles; those after them are of one warpgroup's pixels
    int stages;
    int skew;                     // a warpgroup starts behind this step of the one before it; of patches: row of taps
    int patch_rows, patch_bytes;  // that a copy brings, and the bytes set aside for it
    int pitch, lines;            // of a map with its zeros: pixels from row to row, rows from map to map
    bool resident;               // filters stay
};

template <int kConsumers_, int kProducts_, int kOutputs_, template <int> class Filters_, bool kPatch_>
struct StreamTile {
    static constexpr int kConsumers = kConsumers_, kProducts = kProducts_, kOutputs = kOutputs_;
    static constexpr bool kPatch = kPatch_;
    using Filters = Filters_<kOutputs>;
    // With bias, ReLU and moments. (Without them ptxas works ahead from piece to piece, and spills where registers are
    // few.)
    static constexpr bool kForward = Filters::kOperand == Operand::rows || kConsumers == 3;
    static constexpr int kThreads = (1 + kConsumers) * kWarpgroup;
    static constexpr int kConsumerRows = kProducts * kProductRows;
    static constexpr int kRows = kConsumers * kConsumerRows;
    static constexpr int kPixelBytes = kPatch ? 0 : kRows * kRowBytes;
    static constexpr int kStageBytes = Filters::kBytes + kPixelBytes;
    static constexpr int kStagingBytes = kConsumers * kGroupWarps * 2 * kPieceBytes;
    static constexpr int kPieces = kOutputs / kPiece, kSlabs = kPieces * kProducts;
    // Steps whose products start together: narrow ones are over too soon to hide what a step costs besides.
    static constexpr int kTogether = kPatch && kOutputs == 64 ? 3 : 1, kLeastStages = 2 * kTogether;
    // Three warpgroups of 128 sums a thread: ptxas allows them more than a quarter of the registers, but no single
    // instruction. So two products of half the width.
    static constexpr int kWide = kConsumers == 3 ? kOutputs / 2 : kOutputs;  // of a product
    static constexpr int kBeside = kOutputs / kWide;
    using Sums = float[kProducts][kBeside][kWide / 2];
    // Registers of a thread that copies and of one that multiplies, from 168 or 128 at the start.
    static constexpr int kCopyRegisters = kConsumers == 3 ? 32 : 56;
    static constexpr int kProductRegisters = kConsumers == 3 ? 160 : 224;
    static_assert(kCopyRegisters + kConsumers * kProductRegisters <=
                  65536 / kThreads / 8 * 8 * (1 + kConsumers));
};

struct StreamBarriers {
    Mbarrier full[kMostStages], empty[kMostStages];
    Mbarrier patch_full[kPatches], patch_empty[kPatches];
    Mbarrier turn[2];  // of the warpgroups but the first, once
};

// Stages (filters, then pixels), patches, pieces of the warps, barriers.
template <class T>
struct StreamMemory {
    unsigned char* base;
    int stages, patch_bytes;

    static constexpr size_t bytes(int stages, int patch_bytes) {
        return size_t(stages) * T::kStageBytes + size_t(T::kPatch ? kPatches * patch_bytes : 0) +
               T::kStagingBytes + sizeof(StreamBarriers);
    }
    __device__ unsigned char* stage(int i) const { return base + i * T::kStageBytes; }
    __device__ unsigned char* patch(int i) const {
        return base + stages * T::kStageBytes + i * patch_bytes;
    }
    __device__ unsigned char* pieces(int warp) const {
        return patch(T::kPatch ? kPatches : 0) + warp * 2 * kPieceBytes;
    }
    __device__ StreamBarriers& barriers() const {
        return *reinterpret_cast<StreamBarriers*>(pieces(T::kConsumers * kGroupWarps));
    }
};

template <class T>
__device__ void init(StreamBarriers& b, int stages) {
    constexpr int kReaders = T::kConsumers * kGroupWarps;  // a lane of every warp
    for (int i = 0; i < stages; ++i) {
        mbarrier_init(&b.full[i], 1);
        mbarrier_init(&b.empty[i], kReaders);
    }
    for (int i = 0; i < kPatches && T::kPatch; ++i) {
        mbarrier_init(&b.patch_full[i], 1);
        mbarrier_init(&b.patch_empty[i], kReaders);
    }
    for (int i = 0; i + 1 < T::kConsumers; ++i) mbarrier_init(&b.turn[i], kGroupWarps);
    mbarrier_init_fence();
}

// A place in a ring, which goes round for ever. Who fills a stage waits for the parity before.
struct RingPlace {
    int stage = 0, parity = 0;
    __device__ void next(int stages) {
        if (++stage < stages) return;
        stage = 0;
        parity ^= 1;
    }
};

template <class T>
struct StreamAt {  // a tile's place
    int first_row, first_output;
    bool alone;  // it is the first warpgroup's alone

    __device__ StreamAt(const StreamPlan& plan, int tile) {
        const int down = tile / plan.across, rest = down - plan.whole;
        alone = rest >= 0;
        first_row = alone ? plan.whole * T::kRows + rest * T::kConsumerRows : down * T::kRows;
        first_output = (tile - down * plan.across) * T::kOutputs;
    }
};

// One thread: all copies of a block.
template <class T>
__device__ void bring_stream(const StreamMemory<T>& memory,
                             const TensorMap& pixels,
                             const TensorMap& filters,
                             const ConvSizes& g,
                             const StreamPlan& plan) {
    using Filters = typename T::Filters;
    StreamBarriers& b = memory.barriers();
    RingPlace ring, patch;
    // A stage that is free, and the barrier of what arrives there.
    const auto next_stage = [&](Mbarrier*& full) {
        unsigned char* stage = memory.stage(ring.stage);
        full = &b.full[ring.stage];
        mbarrier_wait(&b.empty[ring.stage], ring.parity ^ 1);
        mbarrier_arrive_expect(full, T::kStageBytes);
        ring.next(plan.stages);
        return stage;
    };
    for (int tile = int(blockIdx.x); tile < plan.tiles; tile += int(gridDim.x)) {
        const StreamAt<T> at(plan, tile);
        Mbarrier* full;
        if constexpr (T::kPatch) {
            const int line = at.first_row / plan.pitch, n = line / plan.lines;
            for (int c = 0; c < g.c; c += kChunk) {
                Mbarrier* here = &b.patch_full[patch.stage];
                mbarrier_wait(&b.patch_empty[patch.stage], patch.parity ^ 1);
                mbarrier_arrive_expect(here, plan.patch_rows * kRowBytes);
                tensor_load_im2col(memory.patch(patch.stage), pixels, c,
                                   at.first_row - line * plan.pitch - 1, line - n * plan.lines - 1,
                                   n, 0, 0, here);
                patch.next(kPatches);
                if (plan.resident && tile != int(blockIdx.x)) continue;
                for (int tap = 0; tap < kPatchTaps; ++tap) {
                    unsigned char* stage = next_stage(full);
                    Filters::bring(stage, filters, g, tap, c, at.first_output, full);
                }
            }
        } else {
            const PixelPlace place(g, at.first_row);
            const int w = place.q * g.stride - g.pad, h = place.p * g.stride - g.pad;
            const int whole = g.c / kChunk * kChunk;
            const auto bring_taps = [&](int from, int to) {  // channels
                for (int r = 0, tap = 0; r < g.r; ++r)
                    for (int s = 0; s < g.s; ++s, ++tap)
                        for (int c = from; c < to; c += kChunk) {
                            unsigned char* stage = next_stage(full);
                            tensor_load_im2col(stage + Filters::kBytes, pixels, c, w, h, place.n, s,
                                               r, full);
                            Filters::bring(stage, filters, g, tap, c, at.first_output, full);
                        }
            };
            bring_taps(0, whole);
            bring_taps(whole, g.c);
        }
    }
}

// One warpgroup's products.
template <class T>
struct StreamConsumer {
    using Filters = typename T::Filters;
    using Sums = typename T::Sums;
    const StreamMemory<T>& memory;
    const StreamPlan& plan;
    int consumer;
    RingPlace ring = {}, patch = {};

    __device__ void release(Mbarrier& empty) const {
        if (lane_index() == 0) mbarrier_arrive(&empty);
    }
    // The stages of the steps before the one whose first stage is `next`.
    __device__ void release_before(int next) const {
        if (plan.resident) return;
        UNROLL
        for (int i = 1; i <= T::kTogether; ++i)
            release(memory.barriers().empty[next - i + (next < i ? plan.stages : 0)]);
    }
    // Waits for the next step's stage; its filters' descriptor.
    __device__ uint64_t next_filters() {
        mbarrier_wait(&memory.barriers().full[ring.stage], plan.resident ? 0 : ring.parity);
        const uint64_t filters = Filters::descriptor(memory.stage(ring.stage), 0);
        ring.next(plan.stages);
        return filters;
    }
    // A step's products, of pixels from x on.
    template <int kDeep>
    __device__ void start(uint64_t x, uint64_t filters, bool add, Sums& sums) const {
        UNROLL
        for (int k = 0; k < kDeep; ++k) {
            UNROLL
            for (int m = 0; m < T::kProducts * T::kBeside; ++m)
                wgmma_bf16<T::kWide, Operand::rows, Filters::kOperand>(
                    sums[m / T::kBeside][m % T::kBeside],
                    x + m / T::kBeside * (kProductRows * kRowBytes / 16) + k * 2,
                    filters + m % T::kBeside * (T::kWide * kRowBytes / 16) + k * Filters::kNext,
                    add || k > 0);
        }
    }

    // Steps [begin, end) of a tile, kDeep times 16 of the sum each.
    template <int kDeep>
    __device__ void drain(int begin, int end, bool first_tile, Sums& sums) {
        for (int i = begin; i < end; ++i) {
            const int stage = ring.stage;
            const uint64_t x = row_descriptor(memory.stage(stage) + Filters::kBytes +
                                              consumer * T::kConsumerRows * kRowBytes);
            const uint64_t filters = next_filters();
            wgmma_fence();
            start<kDeep>(x, filters, i > 0, sums);
            wgmma_commit();
            wgmma_wait<1>();  // the step before is over
            if (i > 0) release_before(stage);
            if (first_tile && i == plan.skew && consumer + 1 < T::kConsumers)
                release(memory.barriers().turn[consumer]);
        }
    }
    // The same of patches [begin, end), a tap a step.
    template <int kDeep>
    __device__ void drain_patches(int begin, int end, bool first_tile, Sums& sums) {
        StreamBarriers& b = memory.barriers();
        for (int i = begin; i < end; ++i) {
            mbarrier_wait(&b.patch_full[patch.stage], patch.parity);
            uint64_t x = row_descriptor(memory.patch(patch.stage) +
                                        consumer * T::kConsumerRows * kRowBytes);
            for (int r = 0; r < kPatchSide; ++r) {
                UNROLL
                for (int s = 0; s < kPatchSide; s += T::kTogether) {
                    const int stage = ring.stage;
                    uint64_t filters[T::kTogether];
                    UNROLL
                    for (uint64_t& f : filters) f = next_filters();
                    wgmma_fence();
                    UNROLL
                    for (int t = 0; t < T::kTogether; ++t)
                        start<kDeep>(x + (s + t) * (kRowBytes / 16), filters[t],
                                     i > 0 || r > 0 || s + t > 0, sums);
                    wgmma_commit();
                    wgmma_wait<1>();
                    if (i > 0 || r > 0 || s > 0) release_before(stage);
                    if (i > 0 && r == 0 && s == 0) release(b.patch_empty[patch.stage ^ 1]);
                }
                x += plan.pitch * (kRowBytes / 16);
                if (first_tile && i == 0 && r == plan.skew && consumer + 1 < T::kConsumers)
                    release(b.turn[consumer]);
            }
            patch.next(kPatches);
        }
    }

    // A tile that is another's alone: what comes is given back as it comes.
    __device__ void pass(const ConvSizes& g) {
        StreamBarriers& b = memory.barriers();
        const int chunks = T::kPatch ? int(ceil_div(g.c, kChunk)) : 1;
        const int steps = T::kPatch ? kPatchTaps : Steps(g).all();
        for (int i = 0; i < chunks; ++i) {
            if (T::kPatch) mbarrier_wait(&b.patch_full[patch.stage], patch.parity);
            for (int step = 0; step < steps; ++step) {
                const int stage = ring.stage;
                next_filters();
                warp_sync();  // all lanes have seen it
                if (!plan.resident) release(b.empty[stage]);
            }
            warp_sync();
            if (!T::kPatch) continue;
            release(b.patch_empty[patch.stage]);
            patch.next(kPatches);
        }
    }
    __device__ void multiply(const ConvSizes& g, bool first_tile, Sums& sums) {
        StreamBarriers& b = memory.barriers();
        if (first_tile && consumer > 0) mbarrier_wait(&b.turn[consumer - 1], 0);
        const Steps steps(g);
        const int whole = T::kPatch ? steps.whole_chunks : steps.whole();
        const int all = T::kPatch ? whole + (steps.tail > 0) : steps.all();
        const auto drain_deep = [&]<int kDeep>(int begin, int end) {
            if constexpr (T::kPatch)
                drain_patches<kDeep>(begin, end, first_tile, sums);
            else
                drain<kDeep>(begin, end, first_tile, sums);
        };
        drain_deep.template operator()<4>(0, whole);
        if (whole < all) {
            if (steps.tail <= 16)
                drain_deep.template operator()<1>(whole, all);
            else if (steps.tail <= 32)
                drain_deep.template operator()<2>(whole, all);
            else if (steps.tail <= 48)
                drain_deep.template operator()<3>(whole, all);
            else
                drain_deep.template operator()<4>(whole, all);
        }
        wgmma_wait<0>();
        release_before(ring.stage);
        if (T::kPatch) release(b.patch_empty[patch.stage ^ 1]);
    }
};

// The output pixels of a warp's rows, the first of which is `first`: lane l's of each 16 are rows l/8 + 4 i.
template <class T>
struct StreamRows {
    int first;
    int pixel[T::kPatch ? T::kProducts : 1][4];  // patches: l's, or -1
    unsigned present[T::kPatch ? T::kProducts : 1];

    __device__ StreamRows(const ConvSizes& g, const StreamPlan& plan, int first_row, int l)
        : first(first_row) {
        if constexpr (T::kPatch) {
            UNROLL
            for (int m = 0; m < T::kProducts; ++m) {
                const int row = first + m * kProductRows + l % kWarpRows;
                const int line = row / plan.pitch, q = row - line * plan.pitch;
                const int n = line / plan.lines, p = line - n * plan.lines;
                const bool inside = n < g.n && p < g.p && q < g.q;
                const int mine = inside ? (n * g.p + p) * g.q + q : -1;
                present[m] = ballot(inside) & ((1u << kWarpRows) - 1);
                UNROLL
                for (int i = 0; i < 4; ++i) pixel[m][i] = shuffle(mine, l / 8 + 4 * i);
            }
        }
    }
    // Which of the product's 16 exist, a bit each.
    __device__ unsigned which(const ConvSizes& g, int m) const {
        if constexpr (T::kPatch) return present[m];
        // Not (1u << clamp(rows, 0, 16)) - 1: ptxas 13.0 makes a VIMNMX.RELU of it and takes its predicate, turned round,
        // for "all 16 exist"; on an H200 a last tile's moments then counted rows that are not there.
        const int rows = g.pixels_out() - first - m * kProductRows;
        if (rows >= kWarpRows) return (1u << kWarpRows) - 1;
        return rows > 0 ? (1u << rows) - 1 : 0;
    }
    // body(row, offset in y) for what exists of lane l's 16 bytes of the slab's four rows: `column` and on.
    template <class Body>
    __device__ void for_parts(const ConvSizes& g, int slab, int column, int l, Body body) const {
        if (column >= g.y_c) return;
        const int m = slab % T::kProducts;
        UNROLL
        for (int i = 0; i < 4; ++i) {
            const int row = l / 8 + 4 * i;
            int at = first + m * kProductRows + row;
            if constexpr (T::kPatch)
                at = pixel[m][i];
            else if (at >= g.pixels_out())
                at = -1;
            if (at >= 0) body(row, int64_t(at) * g.y_c + column);
        }
    }
};

// Where the 16 bytes `part` of a row of a piece lie.
__device__ inline unsigned char* part_of(unsigned char* piece, int row, int part) {
    return piece + row * kRowBytes + ((part ^ (row & 7)) * 16);
}

// Sums of what a warp sees of 64 columns, two a lane, about its first row.
struct WarpMoments {
    float base[kPiece], sum[kPiece], square[kPiece], count;
};
struct LaneMoments {
    float2 base, sum, square;
    int count;

    __device__ void see(unsigned char* piece, unsigned present, int l) {
        const auto value = [&](int row) {
            return halves(*reinterpret_cast<const uint32_t*>(part_of(piece, row, l / 4) + l % 4 * 4));
        };
        const auto add = [&](const float2& v) {
            const float2 d{v.x - base.x, v.y - base.y};
            sum = {sum.x + d.x, sum.y + d.y};
            square = {square.x + d.x * d.x, square.y + d.y * d.y};
        };
        if (present == (1u << kWarpRows) - 1) {
            if (count == 0) base = value(0);
            UNROLL
            for (int row = 0; row < kWarpRows; ++row) add(value(row));
            count += kWarpRows;
            return;
        }
        for (int row = 0; row < kWarpRows; ++row) {
            if (!(present >> row & 1)) continue;
            if (count++ == 0) base = value(row);
            add(value(row));
        }
    }
    __device__ void store(WarpMoments& to, int l) const {
        const auto at = [&](float* of) { return reinterpret_cast<float2*>(of) + l; };
        *at(to.base) = base;
        *at(to.sum) = sum;
        *at(to.square) = square;
        if (l == 0) to.count = float(count);
    }
};

// Of one column, what the warps of a group saw.
template <class PartOf>
__device__ ColumnMoments joined(PartOf part_of_warp, int column) {
    float count = 0, base = 0, sum = 0, square = 0;
    UNROLL
    for (int i = 0; i < kGroupWarps; ++i) {
        const WarpMoments& m = *part_of_warp(i);
        if (count == 0) base = m.base[column];
        const float d = m.base[column] - base, more = m.count * d;
        square += m.square[column] + d * (2 * m.sum[column] + more);
        sum += m.sum[column] + more;
        count += m.count;
    }
    const float mean = count > 0 ? sum / count : 0;
    return {count, count > 0 ? base + mean : 0, square - sum * mean};
}

// `residual` may be `y` itself: a warp reads its pieces before it writes them, and no other does.
template <class T>
__global__ void __launch_bounds__(T::kThreads, 1)
    wgmma_stream_kernel(const __grid_constant__ TensorMap pixels,
                        const __grid_constant__ TensorMap filters,
                        const __grid_constant__ ConvSizes g,
                        const __grid_constant__ StreamPlan plan,
                        const __grid_constant__ Epilogue to) {
    DYN_SHARED(unsigned char, base);
    const StreamMemory<T> memory{base, plan.stages, plan.patch_bytes};
    if (thread_index() == 0) init<T>(memory.barriers(), plan.stages);
    block_sync();
    const int warpgroup = warpgroup_index();
    if (warpgroup == 0) {
        keep_registers<T::kCopyRegisters>();
        if (shuffle(warp_index(), 0) == 0 && elect_one()) {
            prefetch_map(pixels);
            prefetch_map(filters);
            bring_stream<T>(memory, pixels, filters, g, plan);
        }
        return;
    }
    take_registers<T::kProductRegisters>();

    const int consumer = warpgroup - 1, warp = shuffle(warp_index() % kGroupWarps, 0);
    unsigned char* const pieces = memory.pieces(consumer * kGroupWarps + warp);
    StreamConsumer<T> products{memory, plan, consumer};
    for (int tile = int(blockIdx.x); tile < plan.tiles; tile += int(gridDim.x)) {
        const StreamAt<T> at(plan, tile);
        if (T::kConsumers == 2 && at.alone && consumer > 0) {
            products.pass(g);
            continue;
        }
        const int first = at.first_row + consumer * T::kConsumerRows + warp * kWarpRows;
        const auto bring_residual = [&](const StreamRows<T>& rows, int slab, int l) {
            const int column = at.first_output + slab / T::kProducts * kPiece + l % 8 * 8;
            rows.for_parts(g, slab, column, l, [&](int row, int64_t offset) {
                cp_async16(part_of(pieces + slab % 2 * kPieceBytes, row, l % 8),
                           to.residual + offset);
            });
            cp_async_commit();
        };
        if (to.residual) {
            const int l = not_before(lane_index());
            bring_residual(StreamRows<T>(g, plan, first, l), 0, l);
        }
        typename T::Sums sums;
        products.multiply(g, tile == int(blockIdx.x), sums);

        const StreamRows<T> rows(g, plan, first, not_before(lane_index()));
        UNROLL
        for (int piece = 0; piece < T::kPieces; ++piece) {
            LaneMoments seen{};
            UNROLL
            for (int m = 0; m < T::kProducts; ++m) {
                const int slab = piece * T::kProducts + m, l = not_before(lane_index());
                unsigned char* const here = pieces + slab % 2 * kPieceBytes;
                if (to.residual) {
                    warp_sync();  // the rows before have left
                    if (slab + 1 < T::kSlabs) {
                        bring_residual(rows, slab + 1, l);
                        cp_async_wait<1>();
                    } else {
                        cp_async_wait<0>();
                    }
                    warp_sync();
                }
                UNROLL
                for (int j = 0; j < kPiece / 16; ++j) {
                    unsigned char* const place = part_of(here, l % 16, j * 2 + l / 16);
                    uint32_t pairs[4] = {};  // rows 0-7 and 8-15 of columns 0-7, then of 8-15
                    if (to.residual) ldmatrix_x4(pairs, place);
                    UNROLL
                    for (int e = 0; e < 4; ++e) {
                        float2 v = halves(pairs[e]);
                        constexpr int kOfWide = T::kWide / kPiece;
                        const auto& of = sums[m][piece / kOfWide];
                        const int first_of = piece % kOfWide * (kPiece / 2) + j * 8 + e * 2;
                        v.x += of[first_of];
                        v.y += of[first_of + 1];
                        if (T::kForward && to.bias) {
                            const int k = at.first_output + piece * kPiece + j * 16 + e / 2 * 8 +
                                          l % 4 * 2;
                            if (k < g.y_c) {
                                const float2 bias = ldg(reinterpret_cast<const float2*>(to.bias + k));
                                v.x += bias.x;
                                v.y += bias.y;
                            }
                        }
                        if (T::kForward && to.relu) v = {v.x <= 0 ? 0 : v.x, v.y <= 0 ? 0 : v.y};
                        pairs[e] = pack_bf16(v.x, v.y);
                    }
                    stmatrix_x4(place, pairs);
                }
                warp_sync();
                const int column = at.first_output + piece * kPiece + l % 8 * 8;
                rows.for_parts(g, slab, column, l, [&](int row, int64_t offset) {
                    stg(reinterpret_cast<uint4*>(to.y + offset),
                        *reinterpret_cast<const uint4*>(part_of(here, row, l % 8)));
                });
                if (T::kForward && to.moments.data) seen.see(here, rows.which(g, m), l);
            }
            if (!T::kForward || !to.moments.data) continue;
            // Each warp's into its other piece, which has left; then a thread a column adds the four.
            const int other = (piece * T::kProducts + T::kProducts) % 2 * kPieceBytes;
            const auto moments_of = [&](int of_warp) {
                return reinterpret_cast<WarpMoments*>(
                    memory.pieces(consumer * kGroupWarps + of_warp) + other);
            };
            static_assert(sizeof(WarpMoments) <= kPieceBytes);
            const int l = not_before(lane_index());
            seen.store(*moments_of(warp), l);
            named_sync(1 + consumer, kWarpgroup);
            const int thread = warp * kWarp + l, k = at.first_output + piece * kPiece + thread;
            const int chunk = at.first_row / T::kConsumerRows + consumer;
            if (thread < kPiece && k < g.y_c && chunk < to.moments.chunks) {
                const ColumnMoments m = joined(moments_of, thread);
                to.moments.store(k, chunk, m);
                if (T::kPatch && k == 0)
                    stg(to.moments.data + 2 * to.moments.chunks * g.y_c + chunk, m.count);
            }
            named_sync(1 + consumer, kWarpgroup);
        }
        warp_sync();  // the last rows have left
    }
}

}  // namespace fp::FP_MACHINE
