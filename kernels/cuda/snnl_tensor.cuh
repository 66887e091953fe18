// The cosines of a tile of pairs on the tensor core, to float32's precision.
//
//   u_i.u_j = (h_i.h_j + h_i.l_j + l_i.h_j) / half_scale^2      u half_scale = h + l, both fp16 (snnl_prepare.cu)
//
// What is left out, l_i.l_j and the rounding of l, is about 2^-24 of a cosine. As one product: K is three times D, with
// [h h l] on one side and [h l h] on the other. The tensor core cuts sums off where it does not round them, so a sum
// leaves it every 128 of K and is added outside.
//
// Threads   mma_tile.cuh: 256, 128 x 64 pairs, of which a thread has 4 x 8
// Traffic   192 rows of both halves a tile from L2, 12 D bytes each
#pragma once

#include "kernels/cuda/mma_tile.cuh"
#include "kernels/cuda/snnl.cuh"

namespace fp::FP_MACHINE {

struct TensorPairs {
    using Tile = MmaTile<Fp16, 128, 64>;
    using A = LinesOfK<Fp16, Tile::kM>;
    using B = LinesOfK<Fp16, Tile::kN>;
    using Tiles = TensorTriangle;
    static constexpr int kRows = Tile::kM, kColumns = Tile::kN;
    static constexpr int kI = 2 * Tile::kFragmentsM, kJ = 2 * Tile::kFragmentsN;
    static constexpr int kRowWarps = Tile::kWarpsM, kColumnWarps = Tile::kWarpsN;
    // Lanes that have the same row, or column: how many, and how far apart.
    static constexpr int kRowLanes = 4, kRowStep = 1, kColumnLanes = 8, kColumnStep = 4;
    static constexpr size_t kSharedBytes = size_t(Tile::kStages) * (A::kBytes + B::kBytes);

    Tile::Sums v;

    __device__ float& at(int i, int j) { return v[i / 2][j / 2][i % 2 * 2 + j % 2]; }
    __device__ static int row(int i) {
        return Tile::first_row() + i / 2 * 16 + lane_index() / 4 + i % 2 * 8;
    }
    __device__ static int column(int j) {
        return Tile::first_column() + j / 2 * 8 + lane_index() % 4 * 2 + j % 2;
    }

    // A thread copies 16 bytes of k of two rows and of one column.
    struct Source {
        static constexpr int kUnits = Tile::kDepth / Fp16::kChunk, kLines = Tile::kThreads / kUnits;
        const f16* rows;  // [n][2][stored_h]
        int n, stored_h, first_row, first_column;
        int line = thread_index() / kUnits, place = thread_index() % kUnits * Fp16::kChunk;
        int k = place, third = 0;  // of the product's K

        __device__ void copy_line(f16* to, int sample, bool rest) const {
            const bool inside = sample < n && third < 3;
            const f16* from = rows + (int64_t(sample) * 2 + rest) * stored_h + k;
            cp_async16(to, inside ? from : rows, inside);
        }
        __device__ void copy(f16* a, f16* b) {
            for (; k >= stored_h; k -= stored_h) ++third;
            UNROLL
            for (int i = 0; i < kRows; i += kLines)
                copy_line(A::at(a, line + i, place), first_row + line + i, third == 2);
            copy_line(B::at(b, line, place), first_column + line, third == 1);
            k += Tile::kDepth;
        }
    };

    // Exponents of two, as ExponentTile's.
    __device__ void compute(const SnnlSizes& s,
                            const SnnlScratch& in,
                            int c,
                            Tiles::Place tile,
                            unsigned char* shared) {
        constexpr int kKept = 4;  // steps
        Source source{.rows = in.halves + int64_t(c) * s.n * 2 * s.stored_h,
                      .n = s.n,
                      .stored_h = s.stored_h,
                      .first_row = tile.row * kRows,
                      .first_column = tile.column * kColumns};
        const int steps = int(ceil_div(3 * int64_t(s.stored_h), Tile::kDepth));
        Tile::Sums part = {};
        for_each(v, [](float& e) { e = 0; });
        Tile::accumulate<A, B>(source, steps, shared, part, [&](int step) {
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
