// Matrix products whose elements are vectors of L channels: L products at once, one per lane. In the host's layout this
// computes "for every channel, all samples with all samples" without repacking channels, masks, or sums across lanes.
#pragma once

#include <algorithm>

#include "kernels/cpu/lanes.h"

namespace fp::cpu {

// A matrix of vectors in memory: element (i, k) begins at data + i row + k step.
template <class T>
struct Strided {
    T* data;
    int64_t row, step;

    T* at(int64_t i, int64_t k) const { return data + i * row + k * step; }
};

// The term that a pair of elements adds to the sum.
struct Multiply {
    template <class V>
    static V term(const V& sum, const V& a, const V& b) {
        return sum + a * b;
    }
};
struct SquareDifference {
    template <class V>
    static V term(const V& sum, const V& a, const V& b) {
        return sum + (a - b) * (a - b);
    }
};

// The side of the tile of sums in registers: with its operands it uses 24 of 32 registers, or 15 of 16.
constexpr int kTileSide = kRegisters == 32 ? 4 : 3;

// out(i,j) = sum_k term(a(i,k), b(j,k)) for i < R, j < C; added to out if kAdd.
template <int L, class Term, bool kAdd, int R, int C>
[[gnu::always_inline]] inline void product_tile(int64_t depth,
                                                Strided<const float> a,
                                                Strided<const float> b,
                                                Strided<float> out) {
    Floats<L> sum[R][C];
#pragma GCC unroll 4
    for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < C; ++j) sum[i][j] = kAdd ? load<L>(out.at(i, j)) : Floats<L>{};
    for (int64_t k = 0; k < depth; ++k) {
        Floats<L> row[R], column[C];
#pragma GCC unroll 4
        for (int i = 0; i < R; ++i) row[i] = load_once<L>(a.at(i, k));
#pragma GCC unroll 4
        for (int j = 0; j < C; ++j) column[j] = load_once<L>(b.at(j, k));
#pragma GCC unroll 4
        for (int j = 0; j < C; ++j)
#pragma GCC unroll 4
            for (int i = 0; i < R; ++i) sum[i][j] = Term::term(sum[i][j], row[i], column[j]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < C; ++j) store<L>(out.at(i, j), sum[i][j]);
}

// Calls body(std::integral_constant of count), 1 <= count <= kTileSide.
template <class Body>
inline void with_count(int count, const Body& body) {
    if (count == 1) body(std::integral_constant<int, 1>());
    if (count == 2) body(std::integral_constant<int, 2>());
    if (count == 3) body(std::integral_constant<int, 3>());
    if constexpr (kTileSide > 3)
        if (count >= 4) body(std::integral_constant<int, 4>());
}

// The same for all i < rows, j < columns.
template <int L, class Term, bool kAdd>
void lane_product(
    int rows, int columns, int64_t depth, Strided<const float> a, Strided<const float> b, Strided<float> out) {
    for (int i = 0; i < rows; i += kTileSide)
        with_count(std::min(kTileSide, rows - i), [&](auto r) {
            for (int j = 0; j < columns; j += kTileSide)
                with_count(std::min(kTileSide, columns - j), [&](auto c) {
                    product_tile<L, Term, kAdd, r, c>(depth, {a.at(i, 0), a.row, a.step}, {b.at(j, 0), b.row, b.step},
                                                      {out.at(i, j), out.row, out.step});
                });
        });
}

}  // namespace fp::cpu
