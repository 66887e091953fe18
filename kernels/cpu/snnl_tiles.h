// Pairs of samples in tiles, for a group of channels at once: what snnl.cpp's sums and gradients are made of.
#pragma once

#include <algorithm>
#include <cmath>

#include "kernels/cpu/carve.h"
#include "kernels/cpu/lane_product.h"
#include "kernels/shapes.h"

namespace fp::cpu {

constexpr float kSmallestNorm = 1e-12f;
constexpr int kTile = 32;   // samples along a tile's side
constexpr int kDepth = 64;  // numbers of a sample processed at once: those of 64 samples fit in L2
constexpr int kStrip = 4;   // rows of a tile whose sums stay in registers

using Distance = SnnlShape::Distance;

// The memory of a thread for a group of L channels. Arrays over samples hold one vector per sample.
template <int L>
struct Workspace {
    int64_t stride;       // of a sample in `rows`: an odd number of vectors, so that samples do not meet in
                          // one set of a cache
    float *rows, *norm;   // u, and |x|; or x, and 1
    float* tile;          // (kTile, kTile)
    float* columns;       // (partitions, kTile): sums over a tile's columns
    float* smallest;      // (partitions, samples): m
    double* sum;          // (partitions, samples)
    float *slope, *pull;  // backward: du like `rows`; sum_j Sym_ij
    float* inverse;       // backward: (partitions, samples): 1 / sum, and 0 where i is not in V

    Workspace(const SnnlShape& s, int partitions, bool backward, Carve& carve)
        : stride((s.d() | 1) * L),
          rows(carve.take<float>(s.x.n * stride)),
          norm(carve.take<float>(s.x.n * L)),
          tile(carve.take<float>(kTile * kTile * L)),
          columns(carve.take<float>(int64_t(partitions) * kTile * L)),
          smallest(carve.take<float>(int64_t(partitions) * s.x.n * L)),
          sum(carve.take<double>(int64_t(partitions) * s.x.n * L)),
          slope(carve.take<float>(backward ? s.x.n * stride : 0)),
          pull(carve.take<float>(backward ? s.x.n * L : 0)),
          inverse(carve.take<float>(backward ? int64_t(partitions) * s.x.n * L : 0)) {}

    float* in_tile(int i, int j) const { return tile + (i * kTile + j) * L; }
};

// Copies the channels of a group, sample by sample; for cosine as unit vectors.
template <int L>
void take_rows(const SnnlShape& s, const float* x, int64_t first_element, const Workspace<L>& w) {
    const int64_t image = s.x.stored_c() * s.x.pixels();
    for (int n = 0; n < s.x.n; ++n) {
        const float* from = x + first_element + n * image;
        float* to = w.rows + n * w.stride;
        Floats<L> norm = Floats<L>{} + 1, divisor = norm;
        if (s.distance == Distance::cosine) {
            Doubles<L> squares{};
            for (int64_t k = 0; k < s.d(); k += kDepth) {
                Floats<L> part{};
                for (int64_t i = k; i < std::min(s.d(), k + kDepth); ++i) {
                    const Floats<L> v = load<L>(from + i * s.x.block);
                    part += v * v;
                }
                squares += widen<L>(part);
            }
            for (int lane = 0; lane < L; ++lane) norm[lane] = float(std::sqrt(squares[lane]));
            divisor = norm < kSmallestNorm ? Floats<L>{} + kSmallestNorm : norm;
        }
        for (int64_t i = 0; i < s.d(); ++i)
            store<L>(to + i * L,
                     load<L>(from + i * s.x.block) / divisor);  // with d = 1 exactly 1 or -1
        store<L>(w.norm + n * L, norm);
    }
}

// A tile of pairs: samples a .. a + rows - 1 with samples b .. b + columns - 1, of which only pairs i < j count.
struct Tile {
    int a, b, rows, columns;
    int first_column(int i) const { return std::max(0, a + i + 1 - b); }
    int last_row(int j) const { return std::min(rows, b + j - a); }  // one past
    Tile strip(int i) const { return {a + i, b, std::min(kStrip, rows - i), columns}; }
};

template <class Body>
void for_tiles(int samples, const Body& body) {
    for (int a = 0; a < samples; a += kTile)
        for (int b = a; b < samples; b += kTile)
            body(Tile{a, b, std::min(kTile, samples - a), std::min(kTile, samples - b)});
}

// u_i.u_j or |x_i - x_j|^2 of a tile's pairs (and, next to the diagonal, of some pairs that do not count).
template <int L>
void take_pairs(const SnnlShape& s, const Workspace<L>& w, const Tile& tile, float* out) {
    const int64_t chunks = ceil_div(s.d(), kDepth), chunk = ceil_div(s.d(), chunks);
    for (int64_t k = 0; k < s.d(); k += chunk)
        for (int i = 0; i < tile.rows; i += kStrip) {
            const Tile t = tile.strip(i);
            const int skip = std::min(t.first_column(0), t.columns);
            const auto add = [&](auto term, auto adds) {
                lane_product<L, decltype(term), adds>(t.rows, t.columns - skip, std::min(chunk, s.d() - k),
                                                      {w.rows + t.a * w.stride + k * L, w.stride, L},
                                                      {w.rows + (t.b + skip) * w.stride + k * L, w.stride, L},
                                                      {out + (i * kTile + skip) * L, kTile * L, L});
            };
            with_flag(k > 0, [&](auto adds) {
                s.distance == Distance::cosine ? add(Multiply(), adds) : add(SquareDifference(), adds);
            });
        }
}

}  // namespace fp::cpu
