// The tensor core of the emulated machine. Fragments are distributed over the lanes exactly as PTX specifies
// (https://docs.nvidia.com/cuda/parallel-thread-execution, "Matrix Fragments for mma.m16n8k16" and m16n8k8).
#pragma once

namespace fp::emulated {

// Four 8x8 matrices of 16-bit elements. Lane 8m + i gives the address of row i of matrix m (16 bytes);
// lane l takes elements 2(l%4), 2(l%4)+1 of row l/4 of each (of column l/4 when transposed).
template <bool kTransposed>
void load_matrices(uint32_t (&r)[4], const void* row, const Place& at) {
    check_aligned(static_cast<const uint4*>(row), at);
    const int lane = lane_index();
    struct Four {
        uint32_t r[4];
    };
    const Four four = exchange(kTransposed ? WarpOperation::ldmatrix_trans : WarpOperation::ldmatrix, kAllLanes, row,
                               at, [lane](auto brought, unsigned) {
                                   Four out;
                                   for (int m = 0; m < 4; ++m) {
                                       uint32_t pair = 0;
                                       for (int j = 0; j < 2; ++j) {
                                           const int i = kTransposed ? lane % 4 * 2 + j : lane / 4;
                                           const int k = kTransposed ? lane / 4 : lane % 4 * 2 + j;
                                           const auto* elements = static_cast<const uint16_t*>(brought(m * 8 + i));
                                           pair |= uint32_t(elements[k]) << (16 * j);
                                       }
                                       out.r[m] = pair;
                                   }
                                   return out;
                               });
    for (int m = 0; m < 4; ++m) r[m] = four.r[m];
}
inline void ldmatrix_x4(uint32_t (&r)[4], const void* row, const Place& at = Place::current()) {
    load_matrices<false>(r, row, at);
}
inline void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row, const Place& at = Place::current()) {
    load_matrices<true>(r, row, at);
}

struct Fragments {  // a lane's part of A and B
    uint32_t a[4], b[2];
};

// The lower or upper element of a pair of 16-bit floats.
template <class Element>
float element_of(uint32_t pair, int upper) {
    return to_float(Element{uint16_t(upper ? pair >> 16 : pair)});
}

// d (16x8) += A (16x16) B (16x8). Lane l holds rows l/4 and l/4 + 8, columns 2(l%4), 2(l%4)+1 of d.
template <class Element>
void mma_16_bits(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const Place& at) {
    const int lane = lane_index();
    const Fragments mine{{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
    struct Four {
        float d[4];
    };
    const Four sums = exchange(WarpOperation::mma, kAllLanes, mine, at, [lane](auto brought, unsigned) {
        Four out{};
        Fragments rows[4], columns[2][4];
        for (int q = 0; q < 4; ++q) {
            rows[q] = brought(lane / 4 * 4 + q);
            for (int j = 0; j < 2; ++j) columns[j][q] = brought((lane % 4 * 2 + j) * 4 + q);
        }
        for (int o = 0; o < 4; ++o)
            for (int k = 0; k < 16; ++k) {
                const int q = k % 8 / 2, high = k / 8;
                out.d[o] += element_of<Element>(rows[q].a[o / 2 + 2 * high], k % 2) *
                            element_of<Element>(columns[o % 2][q].b[high], k % 2);
            }
        return out;
    });
    for (int o = 0; o < 4; ++o) d[o] += sums.d[o];
    if (lane == 0) Block::running().count_matrix_product(2.0 * 16 * 8 * 16);
}

inline void mma_bf16(float (&d)[4],
                     const uint32_t (&a)[4],
                     const uint32_t (&b)[2],
                     const Place& at = Place::current()) {
    mma_16_bits<bf16>(d, a, b, at);
}
inline void mma_f16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const Place& at = Place::current()) {
    mma_16_bits<f16>(d, a, b, at);
}

// The same for A (16x8) and B (8x8) in TF32: the tensor core ignores the lower 13 bits of its operands.
inline void mma_tf32(float (&d)[4],
                     const uint32_t (&a)[4],
                     const uint32_t (&b)[2],
                     const Place& at = Place::current()) {
    const int lane = lane_index();
    const Fragments mine{{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
    const auto value = [](uint32_t bits) { return std::bit_cast<float>(bits & 0xffffe000u); };
    struct Four {
        float d[4];
    };
    const Four sums = exchange(WarpOperation::mma, kAllLanes, mine, at, [&](auto brought, unsigned) {
        Four out{};
        for (int o = 0; o < 4; ++o)
            for (int k = 0; k < 8; ++k)
                out.d[o] += value(brought(lane / 4 * 4 + k % 4).a[o / 2 + 2 * (k / 4)]) *
                            value(brought((lane % 4 * 2 + o % 2) * 4 + k % 4).b[k / 4]);
        return out;
    });
    for (int o = 0; o < 4; ++o) d[o] += sums.d[o];
    if (lane == 0) Block::running().count_matrix_product(2.0 * 16 * 8 * 8);
}

}  // namespace fp::emulated
