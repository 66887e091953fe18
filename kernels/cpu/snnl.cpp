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
// Lanes    A vector is one number of each of 8 or 16 neighbouring channels, as they lie in memory, so every
//          step below is that many channels at once, and which pairs count is the same for all of them.
// Tiles    32 x 32 pairs, those above the diagonal only; each gives to the sums of its rows and of its
//          columns. All label sets are summed from one pass over the tiles.
// Sums     float within a tile, double across tiles, in a fixed order.
// Shift    Where e^{-d/T} cannot leave float's range (cosine, T >= 0.025) the sums are of that. Elsewhere
//          each sum is of e^{(m - d)/T}, m being the smallest d so far.
// Threads  a group of lanes belongs to one thread; scratch is for as many as OpenMP may start.
// Bound    arithmetic: C N^2 D / 2 multiply-adds and C N^2 / 2 exponentials forward.
#include <omp.h>

#include <cmath>
#include <limits>

#include "kernels/cpu/carve.h"
#include "kernels/cpu/lane_product.h"
#include "kernels/cpu/snnl_labels.h"
#include "kernels/kernels.h"

namespace fp::cpu {
namespace {

constexpr float kSmallestNorm = 1e-12f;
constexpr double kReleasedEps = 1e-9;
constexpr double kLog2e = 1.4426950408889634;
constexpr float kFar = std::numeric_limits<float>::max();
constexpr int kTile = 32;  // samples along a tile's side
constexpr int kDepth =
    64;  // numbers of a sample that a tile takes at once: 64 samples of them fit in L2
constexpr int kStrip = 4;  // rows of a tile whose sums stay in registers

using Distance = SnnlShape::Distance;
using Definition = SnnlShape::Definition;

// e^{-d/T} >= e^{-2/T} > 2^-126
bool is_bounded(const SnnlShape& s) {
    return s.distance == Distance::cosine && s.temperature >= 0.025;
}

// What a thread needs for a group of L channels. Arrays over samples hold a vector for each.
template <int L>
struct Workspace {
    int64_t
        stride;  // of a sample in `rows`: an odd number of vectors, so that samples do not meet in
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

// Copies a group's channels sample by sample; for the cosine, at length 1.
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
                     load<L>(from + i * s.x.block) / divisor);  // one number's unit is exactly 1
        store<L>(w.norm + n * L, norm);
    }
}

// A block of pairs: samples a .. a + rows - 1 with samples b .. b + columns - 1, and of those only i < j.
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

// u_i.u_j or |x_i - x_j|^2 of a tile's pairs (and of some that are none, next to the diagonal).
template <int L>
void take_pairs(const SnnlShape& s, const Workspace<L>& w, const Tile& tile, float* out) {
    const int64_t chunks = ceil_div(s.d(), kDepth), chunk = ceil_div(s.d(), chunks);
    for (int64_t k = 0; k < s.d(); k += chunk)
        for (int i = 0; i < tile.rows; i += kStrip) {
            const Tile t = tile.strip(i);
            const int skip = std::min(t.first_column(0), t.columns);
            const auto add = [&](auto term, auto adds) {
                lane_product<L, decltype(term), adds>(
                    t.rows, t.columns - skip, std::min(chunk, s.d() - k),
                    {w.rows + t.a * w.stride + k * L, w.stride, L},
                    {w.rows + (t.b + skip) * w.stride + k * L, w.stride, L},
                    {out + (i * kTile + skip) * L, kTile * L, L});
            };
            with_flag(k > 0, [&](auto adds) {
                s.distance == Distance::cosine ? add(Multiply(), adds)
                                               : add(SquareDifference(), adds);
            });
        }
}

// Sums of e^{-d/T}, bounded

// e^{(u.u - 1)/T} in place of u.u, for kStrip rows from the first pair's column on; 0 for what is no pair.
template <int L>
void exponentiate(const Tile& t, float scale, float* strip) {
    for (int i = 0; i < kStrip; ++i) {
        const int first = i < t.rows ? std::min(t.first_column(i), t.columns) : t.columns;
        float* row = strip + i * kTile * L;
        for (int j = t.first_column(0); j < first; ++j) store<L>(row + j * L, Floats<L>{});
        for (int j = first; j < t.columns; ++j)
            store<L>(row + j * L, exp2<L>(load<L>(row + j * L) * scale - scale));
    }
}

// Adds a strip to its rows' sums and to the columns', for the pairs of one part.
template <int L, bool kWhole>
void add_strip(
    const Tile& t, const float* strip, const int32_t* part, double* sum, float* columns) {
    float counts[kStrip][kTile] = {};
    if (!kWhole)
        for (int i = 0; i < t.rows; ++i)
            for (int j = 0; j < t.columns; ++j)
                counts[i][j] = part[t.b + j] == part[t.a + i] ? 1.0f : 0.0f;
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

// A strip at a time while its pairs are in the first-level cache; deep samples take the whole tile first.
template <int L>
void add_bounded(const SnnlShape& s,
                 const SnnlLabels& labels,
                 const Workspace<L>& w,
                 const Tile& tile) {
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
                add_strip<L, whole>(t, strip, partition.part, w.sum + p * samples,
                                    w.columns + p * kTile * L);
            });
        }
    }
    for (int p = 0; p < labels.partitions(); ++p)
        for (int j = 0; j < tile.columns; ++j) {
            double* total = w.sum + p * samples + int64_t(tile.b + j) * L;
            store<L>(total, load<L>(total) + widen<L>(load<L>(w.columns + (p * kTile + j) * L)));
        }
}

// Sums of e^{(m - d)/T}, shifted

template <int L>
Floats<L> smaller(const Floats<L>& a, const Floats<L>& b) {
    return b < a ? b : a;
}

// Adds the distances at d + place[0 .. count) to one sum, whose m may become smaller.
template <int L>
void add_shifted(
    const float* d, const int* place, int count, float scale, float* smallest, double* sum) {
    if (count == 0) return;
    const Floats<L> before = load<L>(smallest);
    Floats<L> m = before, part{};
    for (int k = 0; k < count; ++k) m = smaller<L>(m, load<L>(d + place[k]));
    for (int k = 0; k < count; ++k) part += exp2<L>((m - load<L>(d + place[k])) * scale);
    store<L>(sum, load<L>(sum) * widen<L>(exp2<L>((m - before) * scale)) + widen<L>(part));
    store<L>(smallest, m);
}

template <int L>
void add_shifted(const SnnlShape& s,
                 const SnnlLabels& labels,
                 const Workspace<L>& w,
                 const Tile& t) {
    const auto scale = float(kLog2e / s.temperature);
    take_pairs<L>(s, w, t, w.tile);
    if (s.distance == Distance::cosine)
        for (int i = 0; i < t.rows; ++i)
            for (int j = t.first_column(i); j < t.columns; ++j)
                store<L>(w.in_tile(i, j), 1 - load<L>(w.in_tile(i, j)));
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

// scores[lane] of one label set, for `lanes` channels
template <int L>
void score(const SnnlShape& s,
           const SnnlLabels& labels,
           const Workspace<L>& w,
           int set,
           int lanes,
           double* scores) {
    constexpr int kTogether =
        4;  // ratios that share a logarithm: their product cannot leave double's range
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
    for (int lane = 0; lane < lanes; ++lane)
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
            lane_product<L, Multiply, true>(rows, int(s.d()), depth, weight,
                                            {w.rows + from * w.stride, L, w.stride},
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

// dx from w.slope and w.pull; factor[lane] = dscore / (T |V|)
template <int L>
void give_gradient(const SnnlShape& s,
                   const Workspace<L>& w,
                   const Floats<L>& factor,
                   Write write,
                   int64_t first_element,
                   float* dx) {
    const int64_t image = s.x.stored_c() * s.x.pixels();
    for (int n = 0; n < s.x.n; ++n) {
        const float *u = w.rows + n * w.stride, *slope = w.slope + n * w.stride;
        const Floats<L> norm = load<L>(w.norm + n * L);
        // dx = b (slope + a u): 0 for a map of one number, whose unit vector cannot turn
        Floats<L> a, b;
        if (s.distance == Distance::cosine) {
            Floats<L> along{};
            for (int64_t k = 0; k < s.d(); ++k)
                along += load<L>(u + k * L) * load<L>(slope + k * L);
            b = norm < kSmallestNorm ? Floats<L>{} : -factor / norm;
            a = -along;
        } else {
            b = -2 * factor;
            a = -load<L>(w.pull + n * L);
        }
        for (int64_t k = 0; k < s.d(); ++k) {
            float* to = dx + first_element + n * image + k * s.x.block;
            const Floats<L> value = b * (load<L>(slope + k * L) + a * load<L>(u + k * L));
            store<L>(to, write == Write::add ? load<L>(to) + value : value);
        }
    }
}

// Lanes of the vectors that this build works with, for channels in blocks of B.
template <int B>
constexpr int kLanes = std::min(B, kNativeLanes);

int most_workers(int groups) { return std::min(omp_get_max_threads(), groups); }

size_t scratch_bytes(const SnnlShape& s) {
    size_t bytes = 0;
    with_block(s.x.block, [&](auto block) {
        constexpr int L = kLanes<block>;
        Carve shared(nullptr), own(nullptr);
        SnnlLabels(s.x.n, s.sets, shared);
        Workspace<L>(s, SnnlLabels::most_partitions(s.sets), true, own);
        bytes = shared.bytes() + own.bytes() * size_t(most_workers(s.x.stored_c() / L));
    });
    return bytes;
}

// body(labels, workspace, first channel, element of its first number) for every group of lanes
template <int L, class Body>
void for_groups(const SnnlShape& s,
                const int32_t* label,
                const int32_t* strata,
                void* scratch,
                const Body& body) {
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

void forward(const SnnlShape& s,
             const act* x_act,
             const int32_t* label,
             const int32_t* strata,
             double* scores,
             void* scratch,
             Stream) {
    const auto* x = static_cast<const float*>(x_act);
    with_block(s.x.block, [&](auto block) {
        constexpr int L = kLanes<block>;
        for_groups<L>(s, label, strata, scratch,
                      [&](const SnnlLabels& labels, const Workspace<L>& w, int c, int64_t first) {
                          take_rows<L>(s, x, first, w);
                          sum_up<L>(s, labels, w);
                          for (int set = 0; set < s.sets; ++set)
                              score<L>(s, labels, w, set, std::clamp(s.x.c - c, 0, L),
                                       scores + int64_t(set) * s.x.c + c);
                      });
    });
}

void backward(const SnnlShape& s,
              const act* x_act,
              const int32_t* label,
              const int32_t* strata,
              const double* dscore,
              act* dx_act,
              Write write,
              void* scratch,
              Stream) {
    const auto* x = static_cast<const float*>(x_act);
    auto* dx = static_cast<float*>(dx_act);
    with_block(s.x.block, [&](auto block) {
        constexpr int L = kLanes<block>;
        for_groups<L>(s, label, strata, scratch,
                      [&](const SnnlLabels& labels, const Workspace<L>& w, int c, int64_t first) {
                          const int32_t* others = labels[labels.same(0)].others;
                          const auto anchors = std::count_if(others, others + s.x.n,
                                                             [](int32_t o) { return o > 0; });
                          Floats<L> factor{};
                          for (int lane = 0; lane < std::min(L, s.x.c - c) && anchors; ++lane)
                              factor[lane] =
                                  float(dscore[c + lane] / (s.temperature * double(anchors)));
                          take_rows<L>(s, x, first, w);
                          sum_up<L>(s, labels, w);
                          pull_together<L>(s, labels, w);
                          give_gradient<L>(s, w, factor, write, first, dx);
                      });
    });
}

}  // namespace

extern const Snnl snnl{.scratch_bytes = scratch_bytes, .forward = forward, .backward = backward};

}  // namespace fp::cpu
