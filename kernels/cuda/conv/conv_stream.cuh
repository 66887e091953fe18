// Convolution in bf16 on Hopper with persistent blocks: the passes, formulas and operands of conv_wgmma.cuh, but one
// block per multiprocessor, which computes one tile after the other. While one warpgroup stores its part of a tile, the
// others multiply, and the producer already loads the next tile.
//
// Threads   one producer thread, in a warpgroup of its own, and two or three consumer warpgroups of 64 or 128 pixels
//           each
// Tiles     256x64, 256x128, 192x192 or 192x256 pixels x outputs; with patches 256x64 or 256x128
// Pipeline  a ring of as many stages as fit shared memory, which continues from tile to tile. The ring is all that the
//           warpgroups share. In its first tile each warpgroup starts `skew` steps behind the one before it, so that
//           they finish tiles one after the other and the tensor cores never run dry. With moments the end of a strand
//           aligns them again, so that a block of several strands has the skew in the first alone.
// Patches   (3x3 windows at stride 1) A chunk of 64 channels is loaded once for all nine taps instead of once per tap.
//           The copy reads the batch as one sequence of pixels, with a column of zeros behind each row and a row of
//           zeros behind each map (an im2col box one column and one row larger than the map), so that a tap is a fixed
//           offset in rows of shared memory. The outputs on these zeros are computed and dropped: the work is
//           (H+1)(W+1)/(HW) of the useful work, 1.04 at 56x56. The ring then holds filters alone; where all filters of
//           the layer fit, they are loaded once and stay.
// Strands   (conv_plan.h) The tiles of a block that cover the same outputs come one after the other, so that their
//           moments can be accumulated.
// Epilogue  in slabs of 16 rows x 64 outputs through two buffers per warp: the residual of the next slab is loaded
//           while one is processed. Rows are 128 bytes; their 16-byte parts are permuted by the row number, against
//           bank conflicts.
// Moments   Each warp sums its rows about the first row that it reads, two columns per lane (LanePair), over all tiles
//           of a strand: between pieces the sums lie in the second buffer of the warp. Only at the end of a strand are
//           the warps of a block added and written, as one part of the moments: 132 / gcd(132, K / tile) parts or
//           fewer, 8 bytes per output each. Rows that are no pixels (at the end of the map, with patches the zeros)
//           are given the value of that first row, so that one unrolled loop adds them.
// Traffic   a tile reads its pixels once per tap, with patches 1 + 2 (W+2) / rows times in total; filters once per
//           tile, or once per block where they stay. Neighbouring tiles run one after the other, so HBM delivers the
//           pixels once.
// Bound     compute; HBM for 1x1 windows of few channels
// H200      batch 256, microseconds: forward 64 channels at 56x56 129 (one block per tile: 235), 64>128 at 112x112 945,
//           512 at 28x28 1301; with moments 128 at 28x28 122, 256 at 14x14 99, 512 at 7x7 89, 1x1 64>256 at 56x56 326;
//           gradient of the input 64 at 56x56 114, 128 at 28x28 113, 256 at 14x14 91, 512 at 7x7 83, 1x1 256>64 at
//           56x56 167. Moments were measured in another form, which wrote a part per warpgroup and tile: 64 at 56x56
//           took 247 with them, without skew 253.
// Expected  of the moments, by the model (cost.h), not measured: 5 us for 64 at 56x56
// Needs     sm_90a; C a multiple of 8, pads up to 127, strides up to 8
#pragma once

#include "kernels/cuda/conv/conv_stream_ring.cuh"

namespace fp::FP_MACHINE {

// The output pixels of a warp's rows, from row `first` on. Of each 16 rows, lane l copies rows l/8 + 4 i.
template <class T>
struct StreamRows {
    int first;
    int pixel[T::kPatch ? T::kProducts : 1][4];  // with patches: this lane's, -1 where there is none
    unsigned present[T::kPatch ? T::kProducts : 1];

    __device__ StreamRows(const ConvSizes& g, const StreamPlan& plan, int first_row, int l) : first(first_row) {
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
    // A bit per row of product m: whether it is a pixel.
    __device__ unsigned which(const ConvSizes& g, int m) const {
        if constexpr (T::kPatch) return present[m];
        // Not (1u << clamp(rows, 0, 16)) - 1: ptxas 13.0 compiles that to VIMNMX.RELU and uses its negated predicate as
        // "all 16 exist". On an H200 the moments of the last tile then counted rows that do not exist.
        const int rows = g.pixels_out() - first - m * kProductRows;
        if (rows >= kWarpRows) return (1u << kWarpRows) - 1;
        return rows > 0 ? (1u << rows) - 1 : 0;
    }
    // Calls body(row, offset in y) for lane l's four rows of the slab that exist, at the 16 bytes from `column` on.
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

// The address of 16-byte part `part` of a row of a slab, permuted by the row number.
__device__ inline unsigned char* part_of(unsigned char* piece, int row, int part) {
    return piece + row * kRowBytes + ((part ^ (row & 7)) * 16);
}

// Sums the columns of a piece over the rows of a warp.
template <class T>
struct PieceMoments {
    LanePair sums{};
    int rows = 0;  // that `sums` holds

    // Adds a slab at `here`, whose rows `present` are pixels, to what earlier tiles of the strand have left in shared
    // memory. That is loaded only now: before the slab is stored, its products take the registers of the thread.
    __device__ __forceinline__ void add(
        const StreamMemory<T>& memory, int warp, int slab, unsigned char* here, unsigned present, int l) {
        const int piece = slab / T::kProducts, m = slab % T::kProducts;
        PieceSums& kept = memory.sums(warp, piece);
        uint32_t& base = memory.bases(warp, piece)[l];
        if (m == 0) rows = memory.rows_seen(warp);
        if (m == 0 && rows > 0) sums = {base, kept.sum[l], kept.square[l]};
        const auto word_of = [&](int row) {
            return reinterpret_cast<uint32_t*>(part_of(here, row, l / 4) + l % 4 * 4);
        };
        sums.add(word_of, present, rows == 0);
        rows += count_bits(present);
        if (m + 1 < T::kProducts) return;
        base = sums.base;
        kept.sum[l] = sums.sum;
        kept.square[l] = sums.square;
    }
};

// Writes the moments of a strand, summed over the warps of the block.
template <class T>
__device__ void store_moments(
    const StreamMemory<T>& memory, const ConvSizes& g, const StreamPlan& plan, int strand, const MomentsOut& to) {
    const int part = strand / plan.across, first = (strand - part * plan.across) * T::kOutputs;
    for (int i = thread_index() - kWarpgroup; i < min(T::kOutputs, g.y_c - first); i += T::kWarps * kWarp) {
        const int piece = i / kPiece, lane = i % kPiece / 2;
        const auto of = [&](int warp) -> AboutBase {
            const PieceSums& sums = memory.sums(warp, piece);
            const float2 base = halves(memory.bases(warp, piece)[lane]);
            const float2 sum = sums.sum[lane], square = sums.square[lane];
            const float count = float(memory.rows_seen(warp));
            if (i % 2) return {count, base.y, sum.y, square.y};
            return {count, base.x, sum.x, square.x};
        };
        to.store(part, first + i, joined<T::kWarps>(of));
    }
}

// `residual` may be `y` itself: only one warp reads and writes a piece, and it reads first.
template <class T>
__global__ void __launch_bounds__(T::kThreads, 1) wgmma_stream_kernel(const __grid_constant__ TensorMap pixels,
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
    const int of_consumers = consumer * kGroupWarps + warp;
    unsigned char* const pieces = memory.pieces(of_consumers);
    StreamConsumer<T> products{memory, plan, consumer};
    const auto begin_strand = [&] {
        if (!T::kForward || !to.moments.data) return;
        if (lane_index() == 0) memory.rows_seen(of_consumers) = 0;
        warp_sync();
    };
    const auto compute = [&](int tile) {
        const StreamAt<T> at(plan, tile);
        const int first = at.first_row + consumer * T::kConsumerRows + warp * kWarpRows;
        const auto bring_residual = [&](const StreamRows<T>& rows, int slab, int l) {
            const int column = at.first_output + slab / T::kProducts * kPiece + l % 8 * 8;
            rows.for_parts(g, slab, column, l, [&](int row, int64_t offset) {
                cp_async16(part_of(pieces + slab % 2 * kPieceBytes, row, l % 8), to.residual + offset);
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
            PieceMoments<T> seen;
            UNROLL
            for (int m = 0; m < T::kProducts; ++m) {
                // Where threads have few registers, l comes from a shuffle: ptxas sees through not_before, and would
                // keep the addresses of one slab for the others and spill.
                const int slab = piece * T::kProducts + m, lane = lane_index();
                const int l = T::kConsumers == 3 ? shuffle(lane, lane) : not_before(lane);
                unsigned char* const here = pieces + (to.residual ? slab % 2 * kPieceBytes : 0);
                warp_sync();  // all lanes have read the slab that used this buffer before
                if (to.residual) {
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
                            const int k = at.first_output + piece * kPiece + j * 16 + e / 2 * 8 + l % 4 * 2;
                            if (k < g.y_c) {
                                const float2 bias = ldg(reinterpret_cast<const float2*>(to.bias + k));
                                v.x += bias.x;
                                v.y += bias.y;
                            }
                        }
                        if (T::kForward && to.relu) v = {relu(v.x), relu(v.y)};
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
                if (T::kForward && to.moments.data)
                    seen.add(memory, not_before(of_consumers), slab, here, rows.which(g, m), l);
            }
        }
        warp_sync();  // all lanes have stored their rows
        if (T::kForward && to.moments.data && lane_index() == 0) {
            UNROLL
            for (int m = 0; m < T::kProducts; ++m) memory.rows_seen(of_consumers) += count_bits(rows.which(g, m));
        }
    };
    for (int tile = int(blockIdx.x); tile < min(plan.strands, plan.tiles);) {
        begin_strand();
        for (; tile < plan.tiles; tile += plan.strands) compute(tile);
        const int strand = tile % plan.strands;
        if (T::kForward && to.moments.data) {
            named_sync(1, T::kWarps * kWarp);
            store_moments<T>(memory, g, plan, strand, to.moments);
            named_sync(1, T::kWarps * kWarp);  // the next strand writes to the same sums
        }
        tile = strand + int(gridDim.x);
    }
}

}  // namespace fp::FP_MACHINE
