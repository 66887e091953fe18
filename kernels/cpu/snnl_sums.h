// For every sample the sum of e^{-d/T} over the other samples of its part, or, where that could leave float's range, of
// e^{(m - d)/T}, where m is the smallest distance so far. (Parts: snnl_labels.h.)
#pragma once

#include <limits>

#include "kernels/cpu/snnl_labels.h"
#include "kernels/cpu/snnl_tiles.h"

namespace fp::cpu {

constexpr double kLog2e = 1.4426950408889634;
constexpr float kFar = std::numeric_limits<float>::max();

// e^{-d/T} >= e^{-2/T} > 2^-126
inline bool is_bounded(const SnnlShape& s) { return s.distance == Distance::cosine && s.temperature >= 0.025; }

// Bounded

// Replaces u.u by e^{(u.u - 1)/T} in kStrip rows, from the column of the first pair on; 0 for what is not a pair.
template <int L>
void exponentiate(const Tile& t, float scale, float* strip) {
    for (int i = 0; i < kStrip; ++i) {
        const int first = i < t.rows ? std::min(t.first_column(i), t.columns) : t.columns;
        float* row = strip + i * kTile * L;
        for (int j = t.first_column(0); j < first; ++j) store<L>(row + j * L, Floats<L>{});
        for (int j = first; j < t.columns; ++j) store<L>(row + j * L, exp2<L>(load<L>(row + j * L) * scale - scale));
    }
}

// Adds a strip to its rows' sums and to the columns', for the pairs of one part.
template <int L, bool kWhole>
void add_strip(const Tile& t, const float* strip, const int32_t* part, double* sum, float* columns) {
    float counts[kStrip][kTile] = {};
    if (!kWhole)
        for (int i = 0; i < t.rows; ++i)
            for (int j = 0; j < t.columns; ++j) counts[i][j] = part[t.b + j] == part[t.a + i] ? 1.0f : 0.0f;
    Floats<L> row[kStrip] = {};
    for (int j = t.first_column(0); j < t.columns; ++j) {
        Floats<L> column = load<L>(columns + j * L);
        for (int i = 0; i < kStrip; ++i) {
            Floats<L> e = load<L>(strip + (i * kTile + j) * L);
            if (!kWhole) e *= counts[i][j];
            row[i] += e;
            column += e;
        }
        store<L>(columns + j * L, column);
    }
    for (int i = 0; i < t.rows; ++i) {
        double* total = sum + int64_t(t.a + i) * L;
        store<L>(total, load<L>(total) + widen<L>(row[i]));
    }
}

// Processes one strip at a time, while its pairs are in the L1 cache; with deep samples all pairs of the tile come
// first.
template <int L>
void add_bounded(const SnnlShape& s, const SnnlLabels& labels, const Workspace<L>& w, const Tile& tile) {
    const auto scale = float(kLog2e / s.temperature);
    const int64_t samples = int64_t(s.x.n) * L;
    const bool deep = s.d() > kDepth;
    if (deep) take_pairs<L>(s, w, tile, w.tile);
    std::fill_n(w.columns, int64_t(labels.partitions()) * kTile * L, 0.0f);
    for (int i = 0; i < tile.rows; i += kStrip) {
        const Tile t = tile.strip(i);
        float* strip = deep ? w.tile + i * kTile * L : w.tile;
        if (!deep) take_pairs<L>(s, w, t, strip);
        exponentiate<L>(t, scale, strip);
        for (int p = 0; p < labels.partitions(); ++p) {
            const Partition partition = labels[p];
            with_flag(partition.whole, [&](auto whole) {
                add_strip<L, whole>(t, strip, partition.part, w.sum + p * samples, w.columns + p * kTile * L);
            });
        }
    }
    for (int p = 0; p < labels.partitions(); ++p)
        for (int j = 0; j < tile.columns; ++j) {
            double* total = w.sum + p * samples + int64_t(tile.b + j) * L;
            store<L>(total, load<L>(total) + widen<L>(load<L>(w.columns + (p * kTile + j) * L)));
        }
}

// Shifted

template <int L>
Floats<L> smaller(const Floats<L>& a, const Floats<L>& b) {
    return b < a ? b : a;
}

// Adds the distances at d + place[0 .. count) to one sum, whose m may become smaller.
template <int L>
void add_shifted(const float* d, const int* place, int count, float scale, float* smallest, double* sum) {
    if (count == 0) return;
    const Floats<L> before = load<L>(smallest);
    Floats<L> m = before, part{};
    for (int k = 0; k < count; ++k) m = smaller<L>(m, load<L>(d + place[k]));
    for (int k = 0; k < count; ++k) part += exp2<L>((m - load<L>(d + place[k])) * scale);
    store<L>(sum, load<L>(sum) * widen<L>(exp2<L>((m - before) * scale)) + widen<L>(part));
    store<L>(smallest, m);
}

template <int L>
void add_shifted(const SnnlShape& s, const SnnlLabels& labels, const Workspace<L>& w, const Tile& t) {
    const auto scale = float(kLog2e / s.temperature);
    take_pairs<L>(s, w, t, w.tile);
    if (s.distance == Distance::cosine)
        for (int i = 0; i < t.rows; ++i)
            for (int j = t.first_column(i); j < t.columns; ++j) store<L>(w.in_tile(i, j), 1 - load<L>(w.in_tile(i, j)));
    for (int p = 0; p < labels.partitions(); ++p) {
        const int32_t* part = labels[p].part;
        float* smallest = w.smallest + int64_t(p) * s.x.n * L;
        double* sum = w.sum + int64_t(p) * s.x.n * L;
        int place[kTile];
        for (int i = 0; i < t.rows; ++i) {
            int count = 0;
            for (int j = t.first_column(i); j < t.columns; ++j)
                if (part[t.a + i] == part[t.b + j]) place[count++] = j * L;
            const int64_t at = int64_t(t.a + i) * L;
            add_shifted<L>(w.in_tile(i, 0), place, count, scale, smallest + at, sum + at);
        }
        for (int j = 0; j < t.columns; ++j) {
            int count = 0;
            for (int i = 0; i < t.last_row(j); ++i)
                if (part[t.a + i] == part[t.b + j]) place[count++] = i * kTile * L;
            const int64_t at = int64_t(t.b + j) * L;
            add_shifted<L>(w.in_tile(0, j), place, count, scale, smallest + at, sum + at);
        }
    }
}

// w.sum and w.smallest (0 where the sums are bounded) for every partition and sample
template <int L>
void sum_up(const SnnlShape& s, const SnnlLabels& labels, const Workspace<L>& w) {
    const int64_t count = int64_t(labels.partitions()) * s.x.n * L;
    std::fill_n(w.sum, count, 0.0);
    std::fill_n(w.smallest, count, is_bounded(s) ? 0.0f : kFar);
    for_tiles(s.x.n, [&](const Tile& t) {
        is_bounded(s) ? add_bounded<L>(s, labels, w, t) : add_shifted<L>(s, labels, w, t);
    });
}

}  // namespace fp::cpu
