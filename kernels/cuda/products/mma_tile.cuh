// A block's tile of a matrix product on the tensor cores, through mma.sync, fed by asynchronous copies.
//
// Types     Bf16: 16-bit operands, 16 deep; Fp16x3: each number as two fp16, three products, 16 deep; Tf32: float32
//           storage rounded to TF32, 8 deep. Sums are float32.
// Threads   256: eight warps over the tile, each with a rectangle of 16 x 8 fragments
// Pipeline  a ring of four stages (Fp16x3: three) of 64 bytes along k. The copy of a stage starts (number of stages -
//           1) steps before its use; one barrier per step.
// Operands  A panel in shared memory has one of two layouts. LinesOfK: a row is one line (row of A, column of B) with
//           64 bytes of k. KOfLines: a row is one k with all lines. Rows are padded so that the eight rows of ldmatrix,
//           and the scalar reads of Tf32 across lines, touch every bank once.
#pragma once

#include "kernels/cuda/plan/tiling.h"
#include "kernels/cuda/walks/pack.cuh"

namespace fp::FP_MACHINE {

// kParts: panels per operand, one behind the other, each with one part of every number.
struct Bf16 {
    using Element = bf16;
    static constexpr int kParts = 1, kStages = 4;
    static constexpr int kChunk = 8;   // elements in 16 bytes
    static constexpr int kDepth = 16;  // k of one mma
    static constexpr double kPeak = kDevice.bf16_matrix;
    __device__ static void round(uint32_t (&)[4]) {}
    __device__ static void multiply(float (&d)[4], const uint32_t (&a)[kParts][4], const uint32_t (&b)[kParts][2]) {
        mma_bf16(d, a[0], b[0]);
    }
};
struct Tf32 {
    using Element = float;
    static constexpr int kParts = 1, kStages = 4;
    static constexpr int kChunk = 4;
    static constexpr int kDepth = 8;
    static constexpr double kPeak = kDevice.tf32_matrix;
    __device__ static void round(uint32_t (&r)[4]) {
        UNROLL
        for (uint32_t& e : r) e = to_tf32(std::bit_cast<float>(e));
    }
    __device__ static void multiply(float (&d)[4], const uint32_t (&a)[kParts][4], const uint32_t (&b)[kParts][2]) {
        mma_tf32(d, a[0], b[0]);
    }
};
// Each number is the sum of a large and a small fp16, the small one at most an ulp of the large one. Three products,
// small terms first; the fourth, small x small, is below the rounding of float32.
struct Fp16x3 {
    using Element = f16;
    static constexpr int kParts = 2, kStages = 3;
    static constexpr int kChunk = 8;
    static constexpr int kDepth = 16;
    static constexpr double kPeak = kDevice.bf16_matrix / 3;
    __device__ static void round(uint32_t (&)[4]) {}
    __device__ static void multiply(float (&d)[4], const uint32_t (&a)[kParts][4], const uint32_t (&b)[kParts][2]) {
        mma_f16(d, a[1], b[0]);
        mma_f16(d, a[0], b[1]);
        mma_f16(d, a[0], b[0]);
    }
};

template <class Type>
constexpr int kStageDepth = 2 * Type::kDepth;  // 64 bytes of either type

// A panel whose rows are lines with 64 bytes of k each.
template <class Type, int kLines>
struct LinesOfK {
    using Element = typename Type::Element;
    static constexpr int kStride = (64 + 16) / int(sizeof(Element));
    static constexpr int kPart = kLines * kStride;  // elements
    static constexpr int kBytes = Type::kParts * kPart * int(sizeof(Element));
    __device__ static Element* at(Element* panel, int line, int k) { return panel + line * kStride + k; }
    __device__ static const Element* at(const Element* panel, int line, int k) { return panel + line * kStride + k; }

    // load_a: 16 lines as a fragment of A. load_b: 16 lines as two fragments of B. ldmatrix treats the four bytes of a
    // TF32 number as a pair of 16-bit elements, so that each lane gets exactly the number that its fragment needs.
    __device__ static void load_a(const Element* panel, int line, int k, uint32_t (&r)[4]) {
        const int l = lane_index();
        ldmatrix_x4(r, at(panel, line + l % 16, k + l / 16 * Type::kChunk));
        Type::round(r);
    }
    __device__ static void load_b(const Element* panel, int line, int k, uint32_t (&r)[4]) {
        const int l = lane_index();
        ldmatrix_x4(r, at(panel, line + l % 8 + l / 16 * 8, k + l / 8 % 2 * Type::kChunk));
        Type::round(r);
    }
};

// A panel of 64 bytes of k, whose rows are one k with kLines lines each.
template <class Type, int kLines>
struct KOfLines {
    using Element = typename Type::Element;
    static constexpr int kStride = kLines + 8;
    static constexpr int kPart = kStageDepth<Type> * kStride;  // elements
    static constexpr int kBytes = Type::kParts * kPart * int(sizeof(Element));
    __device__ static Element* at(Element* panel, int line, int k) { return panel + k * kStride + line; }
    __device__ static const Element* at(const Element* panel, int line, int k) { return panel + k * kStride + line; }

    __device__ static void load_a(const Element* panel, int line, int k, uint32_t (&r)[4]) {
        const int l = lane_index();
        if constexpr (sizeof(Element) == 2) {
            ldmatrix_x4_trans(r, at(panel, line + l / 8 % 2 * 8, k + l % 8 + l / 16 * 8));
        } else {
            for (int i = 0; i < 4; ++i) r[i] = to_tf32(*at(panel, line + l / 4 + i % 2 * 8, k + l % 4 + i / 2 * 4));
        }
    }
    __device__ static void load_b(const Element* panel, int line, int k, uint32_t (&r)[4]) {
        const int l = lane_index();
        if constexpr (sizeof(Element) == 2) {
            ldmatrix_x4_trans(r, at(panel, line + l / 16 * 8, k + l % 8 + l / 8 % 2 * 8));
        } else {
            for (int i = 0; i < 4; ++i) r[i] = to_tf32(*at(panel, line + l / 4 + i / 2 * 8, k + l % 4 + i % 2 * 4));
        }
    }
};

template <class Type_, int kM_, int kN_>
struct MmaTile {
    using Type = Type_;
    using Element = typename Type::Element;
    static constexpr int kM = kM_, kN = kN_, kThreads = 256, kStages = Type::kStages;
    static constexpr int kDepth = kStageDepth<Type>;
    static constexpr int kWarpsM = kM > kN ? 4 : 2, kWarpsN = 8 / kWarpsM;
    static constexpr int kWarpM = kM / kWarpsM, kWarpN = kN / kWarpsN;
    static constexpr int kFragmentsM = kWarpM / 16, kFragmentsN = kWarpN / 8;
    static_assert(kWarpM % 16 == 0 && kWarpN % 16 == 0);

    using Sums = float[kFragmentsM][kFragmentsN][4];

    static constexpr int kResultStride = kN + 8;  // row pitch of the tile in for_outputs, in floats
    template <class A, class B>
    static constexpr size_t kSharedBytes = std::max<size_t>(size_t(kStages) * (A::kBytes + B::kBytes),
                                                            size_t(kM) * kResultStride * sizeof(float));

    // A, B: LinesOfK or KOfLines. source.copy(a, b) starts the copies of the next stage's panels. seen(step) is called
    // after the products of each step. The sum ends at `depth`: what a stage holds beyond it is not multiplied.
    template <class A, class B, class Source>
    __device__ static void accumulate(Source& source, int steps, unsigned char* shared, Sums& sums) {
        accumulate<A, B>(source, steps * kDepth, shared, sums, [](int) {});
    }
    template <class A, class B, class Source, class Seen>
    __device__ static void accumulate(Source& source, int depth, unsigned char* shared, Sums& sums, Seen seen) {
        const int steps = (depth + kDepth - 1) / kDepth;
        const auto panel_a = [&](int step) {
            return reinterpret_cast<Element*>(shared + step % kStages * (A::kBytes + B::kBytes));
        };
        const auto panel_b = [&](int step) {
            return reinterpret_cast<Element*>(shared + step % kStages * (A::kBytes + B::kBytes) + A::kBytes);
        };
        for (int step = 0; step < kStages - 1; ++step) {
            if (step < steps) source.copy(panel_a(step), panel_b(step));
            cp_async_commit();
        }
        for (int step = 0; step < steps; ++step) {
            cp_async_wait<kStages - 2>();
            block_sync();  // the stage is visible to all threads, and no thread reads the previous one any more
            const int ahead = step + kStages - 1;
            if (ahead < steps) source.copy(panel_a(ahead), panel_b(ahead));
            cp_async_commit();
            multiply<A, B>(panel_a(step), panel_b(step), depth - step * kDepth, sums);
            seen(step);
        }
        cp_async_wait<0>();
        block_sync();
    }

    // Calls store(row, column, pack) for the whole tile, with packs of kSize floats. Goes through shared memory, so
    // that neighbouring threads store neighbouring packs.
    template <int kSize, class Store>
    __device__ static void for_outputs(const Sums& sums, unsigned char* shared, Store store) {
        float* tile = reinterpret_cast<float*>(shared);
        const int l = lane_index();
        UNROLL
        for (int i = 0; i < kFragmentsM; ++i) {
            UNROLL
            for (int j = 0; j < kFragmentsN; ++j) {
                float* at = tile + (first_row() + i * 16 + l / 4) * kResultStride + first_column() + j * 8 + l % 4 * 2;
                *reinterpret_cast<float2*>(at) = float2{sums[i][j][0], sums[i][j][1]};
                *reinterpret_cast<float2*>(at + 8 * kResultStride) = float2{sums[i][j][2], sums[i][j][3]};
            }
        }
        block_sync();
        for (int i = thread_index(); i < kM * kN / kSize; i += kThreads) {
            const int row = i / (kN / kSize), column = i % (kN / kSize) * kSize;
            const float* from = tile + row * kResultStride + column;
            float v[kSize];
            UNROLL
            for (int e = 0; e < kSize; e += 4) {
                const float4 four = *reinterpret_cast<const float4*>(from + e);
                v[e] = four.x;
                v[e + 1] = four.y;
                v[e + 2] = four.z;
                v[e + 3] = four.w;
            }
            store(row, column, v);
        }
    }

    // Where this warp's rectangle begins.
    __device__ static int first_row() { return warp_index() / kWarpsN * kWarpM; }
    __device__ static int first_column() { return warp_index() % kWarpsN * kWarpN; }

private:
    template <class A, class B>
    __device__ static void multiply(const Element* a, const Element* b, int depth, Sums& sums) {
        UNROLL
        for (int k = 0; k < kDepth; k += Type::kDepth) {
            if (k >= depth) return;
            constexpr int kParts = Type::kParts;
            uint32_t rows[kFragmentsM][kParts][4], columns[kFragmentsN / 2][kParts][4];
            UNROLL
            for (int part = 0; part < kParts; ++part) {
                UNROLL
                for (int i = 0; i < kFragmentsM; ++i)
                    A::load_a(a + part * A::kPart, first_row() + i * 16, k, rows[i][part]);
                UNROLL
                for (int j = 0; j < kFragmentsN / 2; ++j)
                    B::load_b(b + part * B::kPart, first_column() + j * 16, k, columns[j][part]);
            }
            UNROLL
            for (int i = 0; i < kFragmentsM; ++i) {
                UNROLL
                for (int j = 0; j < kFragmentsN; ++j) {
                    uint32_t own[kParts][2];
                    UNROLL
                    for (int part = 0; part < kParts; ++part)
                        for (int e = 0; e < 2; ++e) own[part][e] = columns[j / 2][part][j % 2 * 2 + e];
                    Type::multiply(sums[i][j], rows[i], own);
                }
            }
        }
    }
};

}  // namespace fp::FP_MACHINE
