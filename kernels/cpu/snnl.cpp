// Soft nearest neighbour loss, one score per channel and label set, without a matrix of all pairs.
//
//   d_ij   1 - u_i.u_j, u = x / max(|x|, 1e-12)      or |x_i - x_j|^2
//   near   j != i, both known, of one stratum        V  samples with a near one of their own label
//   exact        L_i = log sum_{near} e^{-d_ij/T} - log sum_{near, same label} e^{-d_ij/T},  S = mean over V
//   as_released  L_i = log sum_{near} e^{-d_ij/T} - log(sum_{near, same label, and i} e^{-d_ij/T} + 1e-9),
//                S = mean over the samples with any near one
//
//   p_i = softmax_{near}(-d_ij/T), q_i = softmax_{near, same label}(-d_ij/T)
//   G_ij = (q_ij - p_ij) / (T |V|) for i in V, else 0      Sym = G + G^T
//   cosine     du = -Sym u,  dx_i = (du_i - (du_i.u_i) u_i) / |x_i|, and 0 for a zero vector
//   euclidean  dx_i = 2 sum_j Sym_ij (x_i - x_j)
//
// Lanes    A vector holds one number of each of 4, 8 or 16 neighbouring channels, as stored, so every step below processes
//          that many channels at once. The set of pairs that count is the same for all of them.
// Tiles    32 x 32 pairs, those above the diagonal only; each adds to the sums of its rows and of its columns. One pass
//          over the tiles serves all label sets.
// Sums     float within a tile, double across tiles, in a fixed order.
// Shift    Where e^{-d/T} cannot leave float's range (cosine, T >= 0.025) the sums are of e^{-d/T}. Elsewhere each sum
//          is of e^{(m - d)/T}, where m is the smallest d so far.
// Threads  one thread per group of channels; scratch has room for as many threads as OpenMP may start.
// Bound    arithmetic: C N^2 D / 2 multiply-adds and C N^2 / 2 exponentials forward.
#include <omp.h>

#include <cmath>
#include <limits>
#include <span>

#include "kernels/cpu/snnl_sums.h"
#include "kernels/kernels.h"

namespace fp::cpu {
namespace {

constexpr double kReleasedEps = 1e-9;

using Definition = SnnlShape::Definition;

// The scores of one label set, one per lane that holds a channel
template <int L>
void score(const SnnlShape& s, const SnnlLabels& labels, const Workspace<L>& w, int set, std::span<double> scores) {
    // Ratios that share one logarithm. Their product cannot leave double's range.
    constexpr int kTogether = 4;
    const bool exact = s.definition == Definition::exact;
    const int near = labels.near(set), same = labels.same(set);
    const int32_t* others = labels[exact ? same : near].others;
    const auto at = [&](int partition, int i) { return (int64_t(partition) * s.x.n + i) * L; };
    double total[L] = {}, product[L];
    std::fill_n(product, L, 1.0);
    int anchors = 0;
    const auto take_logarithm = [&] {
        for (int lane = 0; lane < L; ++lane) {
            total[lane] += std::log(product[lane]);
            product[lane] = 1;
        }
    };
    for (int i = 0; i < s.x.n; ++i) {
        if (others[i] == 0) continue;
        const double *all = w.sum + at(near, i), *own = w.sum + at(same, i);
        const float *all_shift = w.smallest + at(near, i), *own_shift = w.smallest + at(same, i);
        for (int lane = 0; lane < L; ++lane) {
            if (exact) {
                product[lane] *= all[lane] / own[lane];
                total[lane] += (double(own_shift[lane]) - all_shift[lane]) / s.temperature;
            } else {
                const double length = std::fmin(w.norm[i * L + lane] / double(kSmallestNorm), 1.0);
                const double self = std::exp((length * length - 1) / s.temperature);
                const double unshifted = own[lane] * std::exp(-own_shift[lane] / s.temperature);
                product[lane] *= all[lane] / (unshifted + self + kReleasedEps);
                total[lane] -= all_shift[lane] / s.temperature;
            }
        }
        if (++anchors % kTogether == 0) take_logarithm();
    }
    take_logarithm();
    for (size_t lane = 0; lane < scores.size(); ++lane)
        scores[lane] = anchors ? total[lane] / anchors : std::numeric_limits<double>::quiet_NaN();
}

// Sym_ij T |V| in place of the tile's products or distances, 0 for what is no pair.
template <int L>
void weigh(const SnnlShape& s, const SnnlLabels& labels, const Workspace<L>& w, const Tile& t) {
    const auto scale = float(kLog2e / s.temperature);
    const int near = labels.near(0), same = labels.same(0);
    const int32_t *near_part = labels[near].part, *same_part = labels[same].part;
    const auto softmax = [&](int partition, int sample, const Floats<L>& distance) {
        const int64_t at = (int64_t(partition) * s.x.n + sample) * L;
        return exp2<L>((load<L>(w.smallest + at) - distance) * scale) * load<L>(w.inverse + at);
    };
    for (int i = 0; i < t.rows; ++i)
        for (int j = 0; j < t.columns; ++j) {
            const int m = t.a + i, n = t.b + j;
            Floats<L> sym{};
            if (m < n && near_part[m] == near_part[n]) {
                const Floats<L> v = load<L>(w.in_tile(i, j));
                const Floats<L> d = s.distance == Distance::cosine ? 1 - v : v;
                sym = -softmax(near, m, d) - softmax(near, n, d);
                if (same_part[m] == same_part[n]) sym += softmax(same, m, d) + softmax(same, n, d);
            }
            store<L>(w.in_tile(i, j), sym);
        }
}

// w.slope_i = sum_j Sym_ij rows_j and w.pull_i = sum_j Sym_ij, times T |V|
template <int L>
void pull_together(const SnnlShape& s, const SnnlLabels& labels, const Workspace<L>& w) {
    const int n = s.x.n;
    const int near = labels.near(0), same = labels.same(0);
    for (const int partition : {near, same})
        for (int i = 0; i < n; ++i)
            for (int lane = 0; lane < L; ++lane) {
                const int64_t at = (int64_t(partition) * n + i) * L + lane;
                w.inverse[at] = labels[same].others[i] ? float(1 / w.sum[at]) : 0.0f;
            }
    std::fill_n(w.slope, n * w.stride, 0.0f);
    std::fill_n(w.pull, n * L, 0.0f);
    for_tiles(s.x.n, [&](const Tile& t) {
        take_pairs<L>(s, w, t, w.tile);
        weigh<L>(s, labels, w, t);
        const Strided<const float> sym{w.tile, kTile * L, L}, transposed{w.tile, L, kTile * L};
        const auto add = [&](Strided<const float> weight, int to, int rows, int from, int depth) {
            lane_product<L, Multiply, true>(rows, int(s.d()), depth, weight, {w.rows + from * w.stride, L, w.stride},
                                            {w.slope + to * w.stride, w.stride, L});
            for (int i = 0; i < rows; ++i) {
                Floats<L> sum{};
                for (int j = 0; j < depth; ++j) sum += load<L>(weight.at(i, j));
                float* total = w.pull + int64_t(to + i) * L;
                store<L>(total, load<L>(total) + sum);
            }
        };
        add(sym, t.a, t.rows, t.b, t.columns);
        add(transposed, t.b, t.columns, t.a, t.rows);
    });
}

// dx from w.slope and w.pull; factor[lane] = dscore / (T |V|). dx points to the first number of the group of channels.
template <int L>
void give_gradient(const SnnlShape& s, const Workspace<L>& w, const Floats<L>& factor, Write write, float* dx) {
    const int64_t image = s.x.stored_c() * s.x.pixels();
    for (int n = 0; n < s.x.n; ++n) {
        const float *u = w.rows + n * w.stride, *slope = w.slope + n * w.stride;
        const Floats<L> norm = load<L>(w.norm + n * L);
        // dx = b (slope + a u): 0 for a map of one number, whose unit vector cannot turn
        Floats<L> a, b;
        if (s.distance == Distance::cosine) {
            Floats<L> along{};
            for (int64_t k = 0; k < s.d(); ++k) along += load<L>(u + k * L) * load<L>(slope + k * L);
            b = norm < kSmallestNorm ? Floats<L>{} : -factor / norm;
            a = -along;
        } else {
            b = -2 * factor;
            a = -load<L>(w.pull + n * L);
        }
        for (int64_t k = 0; k < s.d(); ++k) {
            float* to = dx + n * image + k * s.x.block;
            const Floats<L> value = b * (load<L>(slope + k * L) + a * load<L>(u + k * L));
            store<L>(to, write == Write::add ? load<L>(to) + value : value);
        }
    }
}

int most_workers(int groups) { return std::min(omp_get_max_threads(), groups); }

size_t scratch_bytes(const SnnlShape& s, bool) {
    size_t bytes = 0;
    with_block(s.x.block, [&](auto block) {
        constexpr int L = block;
        Carve shared(nullptr), own(nullptr);
        SnnlLabels(s.x.n, s.sets, shared);
        Workspace<L>(s, SnnlLabels::most_partitions(s.sets), true, own);
        bytes = shared.bytes() + own.bytes() * size_t(most_workers(s.x.stored_c() / L));
    });
    return bytes;
}

// Calls body(labels, workspace, first channel, offset of that channel's first number) for every group of L channels.
template <int L, class Body>
void for_groups(const SnnlShape& s, const int32_t* label, const int32_t* strata, void* scratch, const Body& body) {
    Carve shared(scratch), size(nullptr);
    SnnlLabels labels(s.x.n, s.sets, shared);
    labels.fill(label, strata);
    const int partitions = SnnlLabels::most_partitions(s.sets);
    Workspace<L>(s, partitions, true, size);
    const int groups = s.x.stored_c() / L;
#pragma omp parallel num_threads(most_workers(groups))
    {
        const size_t offset = shared.bytes() + size.bytes() * size_t(omp_get_thread_num());
        Carve own(static_cast<char*>(scratch) + offset);
        const Workspace<L> w(s, partitions, true, own);
#pragma omp for schedule(dynamic)
        for (int group = 0; group < groups; ++group) {
            const int c = group * L;
            body(labels, w, c, s.x.at(0, c, 0, 0));
        }
    }
}

void forward(const SnnlShape& s, const Snnl::Forward& a, void* scratch, Stream) {
    const auto* x = as<float>(a.x);
    with_block(s.x.block, [&](auto block) {
        constexpr int L = block;
        for_groups<L>(s, a.labels, a.strata, scratch,
                      [&](const SnnlLabels& labels, const Workspace<L>& w, int c, int64_t first) {
                          take_rows<L>(s, x, first, w);
                          sum_up<L>(s, labels, w);
                          for (int set = 0; set < s.sets; ++set)
                              score<L>(s, labels, w, set,
                                       {a.scores + int64_t(set) * s.x.c + c, size_t(std::clamp(s.x.c - c, 0, L))});
                      });
    });
}

void backward(const SnnlShape& s, const Snnl::Backward& a, void* scratch, Stream) {
    const auto* x = as<float>(a.x);
    auto* dx = as<float>(a.dx);
    with_block(s.x.block, [&](auto block) {
        constexpr int L = block;
        for_groups<L>(s, a.labels, a.strata, scratch,
                      [&](const SnnlLabels& labels, const Workspace<L>& w, int c, int64_t first) {
                          const int32_t* others = labels[labels.same(0)].others;
                          const auto anchors = std::count_if(others, others + s.x.n, [](int32_t o) { return o > 0; });
                          Floats<L> factor{};
                          for (int lane = 0; lane < std::min(L, s.x.c - c) && anchors; ++lane)
                              factor[lane] = float(a.dscore[c + lane] / (s.temperature * double(anchors)));
                          take_rows<L>(s, x, first, w);
                          sum_up<L>(s, labels, w);
                          pull_together<L>(s, labels, w);
                          give_gradient<L>(s, w, factor, a.write, dx + first);
                      });
    });
}

}  // namespace

extern const Snnl snnl{.scratch_bytes = scratch_bytes, .forward = forward, .backward = backward};

}  // namespace fp::cpu
