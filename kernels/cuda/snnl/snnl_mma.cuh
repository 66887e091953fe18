// The cosines of a tile of pairs on the tensor core, at the precision of float32.
//
//   u_i.u_j = (h_i.h_j + h_i.l_j + l_i.h_j) / half_scale^2      u half_scale = h + l, both fp16 (snnl_prepare.cu)
//
// Accuracy  The terms left out, l_i.l_j and the rounding of l, are about 2^-24 of a cosine. The tensor core truncates
//           its sums instead of rounding them, so after every 64 of D the accumulators are added to a second set by
//           ordinary float32 additions and start again from 0.
// Threads   mma_tile.cuh: 256 for 128 x 64 pairs, of which a thread has 4 x 8
// Traffic   per tile, 192 rows of both fp16 parts from L2, 4 D bytes each
#pragma once

#include "kernels/cuda/products/mma_tile.cuh"
#include "kernels/cuda/snnl/snnl.cuh"

namespace fp::FP_MACHINE {

struct TensorPairs {
    using Tile = MmaTile<Fp16x3, 128, 64>;
    using A = LinesOfK<Fp16x3, Tile::kM>;
    using B = LinesOfK<Fp16x3, Tile::kN>;
    using Tiles = TensorTriangle;
    static constexpr int kRows = Tile::kM, kColumns = Tile::kN;
    static constexpr int kI = 2 * Tile::kFragmentsM, kJ = 2 * Tile::kFragmentsN;
    static constexpr int kRowWarps = Tile::kWarpsM, kColumnWarps = Tile::kWarpsN;
    // The lanes that share a row, and those that share a column: how many, and the distance between their numbers.
    static constexpr int kRowLanes = 4, kRowStep = 1, kColumnLanes = 8, kColumnStep = 4;
    static constexpr size_t kSharedBytes = size_t(Tile::kStages) * (A::kBytes + B::kBytes);

    Tile::Sums v;

    __device__ float& at(int i, int j) { return v[i / 2][j / 2][i % 2 * 2 + j % 2]; }
    __device__ static int row(int i) { return Tile::first_row() + i / 2 * 16 + lane_index() / 4 + i % 2 * 8; }
    __device__ static int column(int j) { return Tile::first_column() + j / 2 * 8 + lane_index() % 4 * 2 + j % 2; }

    // Per stage a thread copies 16 bytes of k of two rows and of one column, of both fp16 parts.
    struct Source {
        static constexpr int kUnits = Tile::kDepth / Fp16x3::kChunk, kLines = Tile::kThreads / kUnits;
        const f16* rows;  // [2][n][stored_h]
        int n, stored_h, first_row, first_column;
        int line = thread_index() / kUnits, place = thread_index() % kUnits * Fp16x3::kChunk;
        int k = place;

        template <class Panel>
        __device__ void copy_line(f16* panel, int of_panel, int sample) const {
            const bool inside = sample < n && k < stored_h;
            const int from = inside ? sample * stored_h + k : 0;  // a channel has fewer than 2^30 numbers
            UNROLL
            for (int half = 0; half < 2; ++half)
                cp_async16(Panel::at(panel + half * Panel::kPart, of_panel, place), rows + (from + half * n * stored_h),
                           inside);
        }
        __device__ void copy(f16* a, f16* b) {
            UNROLL
            for (int i = 0; i < kRows; i += kLines) copy_line<A>(a, line + i, first_row + line + i);
            copy_line<B>(b, line, first_column + line);
            k += Tile::kDepth;
        }
    };

    // v_ij as in ExponentTile.
    __device__ void compute(
        const SnnlSizes& s, const SnnlScratch& in, int c, Tiles::Place tile, unsigned char* shared) {
        constexpr int kKept = 64 / Tile::kDepth;  // steps between two additions to `v`
        Source source{.rows = in.halves + int64_t(c) * s.n * 2 * s.stored_h,
                      .n = s.n,
                      .stored_h = s.stored_h,
                      .first_row = tile.row * kRows,
                      .first_column = tile.column * kColumns};
        const int steps = int(ceil_div(s.stored_h, Tile::kDepth));
        Tile::Sums part = {};
        for_each(v, [](float& e) { e = 0; });
        Tile::accumulate<A, B>(source, s.stored_h, shared, part, [&](int step) {
            if ((step + 1) % kKept != 0 && step + 1 < steps) return;
            UNROLL
            for (int i = 0; i < kI; ++i) {
                UNROLL
                for (int j = 0; j < kJ; ++j) {
                    at(i, j) += part[i / 2][j / 2][i % 2 * 2 + j % 2];
                    part[i / 2][j / 2][i % 2 * 2 + j % 2] = 0;
                }
            }
        });
        const float sharpness = s.sharpness / (s.half_scale * s.half_scale);
        for_each(v, [&](float& e) { e = fused_multiply_add(e, sharpness, -s.sharpness); });
    }

private:
    template <class Body>
    __device__ static void for_each(Tile::Sums& sums, Body body) {
        UNROLL
        for (auto& row : sums) {
            UNROLL
            for (auto& fragment : row) {
                UNROLL
                for (float& e : fragment) body(e);
            }
        }
    }
};

}  // namespace fp::FP_MACHINE
