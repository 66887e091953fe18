// The transforms of Winograd's F(4x4, 3x3) (Lavin and Gray, 2015, https://arxiv.org/abs/1509.09308 ), on points 0, 1,
// -1, 2, -2 and infinity, in one dimension; two of them, along columns and then rows, make the transform of a tile.
//
//   outputs     y = A^T [ (G g G^T) * (B^T d B) ] A             * element by element; g 3x3, d 6x6, y 4x4
//   gradients   dg = G^T [ (A dy A^T) * (B^T d B) ] G            dx: as y, with g turned round
#pragma once

#include "kernels/cpu/lanes.h"

namespace fp::cpu::winograd {

using Vector = Floats<kBlock>;

inline constexpr int kTile = 4, kPatch = 6, kProducts = kPatch * kPatch;

[[gnu::always_inline]] inline void input(const Vector (&d)[6], Vector (&out)[6]) {  // B^T d
    const Vector a = d[4] - 4.f * d[2], b = d[3] - 4.f * d[1], c = d[4] - d[2], e = 2.f * (d[3] - d[1]);
    out[0] = 4.f * d[0] - 5.f * d[2] + d[4];
    out[1] = a + b;
    out[2] = a - b;
    out[3] = c + e;
    out[4] = c - e;
    out[5] = 4.f * d[1] - 5.f * d[3] + d[5];
}

[[gnu::always_inline]] inline void output(const Vector (&m)[6], Vector (&out)[4]) {  // A^T m
    const Vector a = m[1] + m[2], b = m[1] - m[2], c = m[3] + m[4], d = m[3] - m[4];
    out[0] = m[0] + a + c;
    out[1] = b + 2.f * d;
    out[2] = a + 4.f * c;
    out[3] = b + 8.f * d + m[5];
}

[[gnu::always_inline]] inline void filter(const Vector (&g)[3], Vector (&out)[6]) {  // G g
    const Vector even = g[0] + g[2], half = g[0] * (1.f / 24) + g[2] * (1.f / 6), odd = g[1] * (1.f / 12);
    out[0] = g[0] * (1.f / 4);
    out[1] = (even + g[1]) * (-1.f / 6);
    out[2] = (even - g[1]) * (-1.f / 6);
    out[3] = half + odd;
    out[4] = half - odd;
    out[5] = g[2];
}

[[gnu::always_inline]] inline void output_gradient(const Vector (&y)[4], Vector (&out)[6]) {  // A y
    const Vector even = y[0] + y[2], odd = y[1] + y[3], twos = y[0] + 4.f * y[2], eights = 2.f * y[1] + 8.f * y[3];
    out[0] = y[0];
    out[1] = even + odd;
    out[2] = even - odd;
    out[3] = twos + eights;
    out[4] = twos - eights;
    out[5] = y[3];
}

[[gnu::always_inline]] inline void filter_gradient(const Vector (&m)[6], Vector (&out)[3]) {  // G^T m
    const Vector ones = m[1] + m[2], twos = m[3] + m[4];
    out[0] = m[0] * (1.f / 4) - ones * (1.f / 6) + twos * (1.f / 24);
    out[1] = (m[2] - m[1]) * (1.f / 6) + (m[3] - m[4]) * (1.f / 12);
    out[2] = twos * (1.f / 6) - ones * (1.f / 6) + m[5];
}

// Both dimensions: `from(row, column)` gives the N x N vectors, `to(row, column, vector)` takes the M x M.
template <int N, int M, class From, class To>
[[gnu::always_inline]] inline void transform(void (&one)(const Vector (&)[N], Vector (&)[M]), From from, To to) {
    Vector columns[M][N];
    for (int c = 0; c < N; ++c) {
        Vector in[N], out[M];
        for (int r = 0; r < N; ++r) in[r] = from(r, c);
        one(in, out);
        for (int r = 0; r < M; ++r) columns[r][c] = out[r];
    }
    for (int r = 0; r < M; ++r) {
        Vector out[M];
        one(columns[r], out);
        for (int c = 0; c < M; ++c) to(r, c, out[c]);
    }
}

}  // namespace fp::cpu::winograd
