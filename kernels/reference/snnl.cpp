// Soft nearest neighbour loss of one channel, in double for every type.
//
//   known(i)  label_i >= 0                  near(i,j)  j != i, both known, of one stratum
//   d_ij      1 - u_i.u_j, u = x / max(|x|, 1e-12)      or |x_i - x_j|^2
//   exact        L_i = LSE_{near}(-d_ij / T) - LSE_{near, same label}(-d_ij / T)
//                S   = mean of L_i over the anchors V: samples with a near one of their own label
//   as_released  L_i = LSE_{near}(-d_ij / T) - log(sum_{near, same label, and i} exp(-d_ij / T) + 1e-9)
//                S   = mean of L_i over the samples with any near one (all known ones, unless alone)
//   No anchor: S = NaN.
//
// Gradient of the exact score (M = |V|, u and |x| as above):
//   p_i = softmax_{near}(-d_ij / T), q_i = softmax_{near, same label}(-d_ij / T)
//   G_ij = (q_ij - p_ij) / (T M) for i in V, else 0      Sym = G + G^T
//   cosine     du = -Sym u,  dx_i = (du_i - (du_i.u_i) u_i) / |x_i|, and 0 for a zero vector
//   euclidean  dx_i = 2 sum_j Sym_ij (x_i - x_j)
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/reference/view.h"

namespace fp::reference {
namespace {

constexpr double kSmallestNorm = 1e-12;
constexpr double kReleasedEps = 1e-9;
using Distance = SnnlShape::Distance;
using Definition = SnnlShape::Definition;

size_t scratch_bytes(const SnnlShape&, bool) { return 0; }

// The samples of one channel as rows of d numbers, of length 1 if the distance is the cosine's.
struct Rows {
    int n;
    int64_t d;
    std::vector<double> value, norm;

    template <class T>
    Rows(const SnnlShape& shape, const MapView<const T>& x, int c)
        : n(shape.x.n), d(shape.d()), value(size_t(n * d)), norm(size_t(n), 1.0) {
        for (int i = 0; i < n; ++i) {
            double* row = &value[size_t(i * d)];
            for (int h = 0; h < shape.x.h; ++h)
                for (int w = 0; w < shape.x.w; ++w) row[h * shape.x.w + w] = x(i, c, h, w);
            if (shape.distance == Distance::euclidean) continue;
            norm[size_t(i)] = std::sqrt(dot(row, row));
            for (int64_t k = 0; k < d; ++k) row[k] /= std::fmax(norm[size_t(i)], kSmallestNorm);
        }
    }

    const double* row(int i) const { return &value[size_t(i * d)]; }
    double dot(const double* a, const double* b) const {
        double sum = 0;
        for (int64_t k = 0; k < d; ++k) sum += a[k] * b[k];
        return sum;
    }
};

// -d_ij / T, n x n
std::vector<double> exponents(const SnnlShape& shape, const Rows& rows) {
    std::vector<double> e(size_t(rows.n) * rows.n);
    for (int i = 0; i < rows.n; ++i)
        for (int j = 0; j < rows.n; ++j) {
            const double *a = rows.row(i), *b = rows.row(j);
            double distance = 0;
            if (shape.distance == Distance::cosine)
                distance = 1 - rows.dot(a, b);
            else
                for (int64_t k = 0; k < rows.d; ++k) distance += (a[k] - b[k]) * (a[k] - b[k]);
            e[size_t(i) * rows.n + j] = -distance / shape.temperature;
        }
    return e;
}

// Which pairs count, for one label set.
struct Pairs {
    const int32_t* labels;
    const int32_t* strata;
    bool near(int i, int j) const {
        return j != i && labels[i] >= 0 && labels[j] >= 0 && (!strata || strata[i] == strata[j]);
    }
    bool same(int i, int j) const { return near(i, j) && labels[i] == labels[j]; }
};

// log sum_j exp e[j] over the j that `counts` takes; -inf where it takes none.
template <class Counts>
double log_sum_exp(const double* e, int n, const Counts& counts) {
    double most = -std::numeric_limits<double>::infinity(), sum = 0;
    for (int j = 0; j < n; ++j)
        if (counts(j)) most = std::fmax(most, e[j]);
    if (std::isinf(most)) return most;
    for (int j = 0; j < n; ++j)
        if (counts(j)) sum += std::exp(e[j] - most);
    return most + std::log(sum);
}

double score(Definition definition, const std::vector<double>& e, int n, const Pairs& pairs) {
    double sum = 0;
    int anchors = 0;
    for (int i = 0; i < n; ++i) {
        const double* row = &e[size_t(i) * n];
        const double all = log_sum_exp(row, n, [&](int j) { return pairs.near(i, j); });
        if (std::isinf(all)) continue;
        double same = log_sum_exp(row, n, [&](int j) { return pairs.same(i, j); });
        if (definition == Definition::as_released) same = std::log(std::exp(same) + std::exp(row[i]) + kReleasedEps);
        if (std::isinf(same)) continue;
        sum += all - same;
        ++anchors;
    }
    return anchors ? sum / anchors : std::numeric_limits<double>::quiet_NaN();
}

template <class T>
void forward(const SnnlShape& shape, const Snnl::Forward& a, void*, Stream) {
    const auto x = view<T>(shape.x, a.x);
    const int n = shape.x.n;
#pragma omp parallel for if (shape.flops() > kWorthThreads)
    for (int c = 0; c < shape.x.c; ++c) {
        const auto e = exponents(shape, Rows(shape, x, c));
        for (int set = 0; set < shape.sets; ++set)
            a.scores[int64_t(set) * shape.x.c + c] =
                score(shape.definition, e, n, Pairs{a.labels + int64_t(set) * n, a.strata});
    }
}

// G_ij T M, n x n, and M
struct Pull {
    std::vector<double> g;
    int anchors = 0;
};

Pull pull(const std::vector<double>& e, int n, const Pairs& pairs) {
    Pull out{.g = std::vector<double>(size_t(n) * n)};
    for (int i = 0; i < n; ++i) {
        const double* row = &e[size_t(i) * n];
        const double all = log_sum_exp(row, n, [&](int j) { return pairs.near(i, j); });
        const double same = log_sum_exp(row, n, [&](int j) { return pairs.same(i, j); });
        if (std::isinf(same)) continue;
        ++out.anchors;
        for (int j = 0; j < n; ++j) {
            const double p = pairs.near(i, j) ? std::exp(row[j] - all) : 0.0;
            const double q = pairs.same(i, j) ? std::exp(row[j] - same) : 0.0;
            out.g[size_t(i) * n + j] = q - p;
        }
    }
    return out;
}

template <class T>
void backward(const SnnlShape& shape, const Snnl::Backward& a, void*, Stream) {
    const auto x = view<T>(shape.x, a.x);
    const auto dx = view<T>(shape.x, a.dx);
    const int n = shape.x.n;
#pragma omp parallel for if (shape.flops() > kWorthThreads)
    for (int c = 0; c < shape.x.c; ++c) {
        const Rows rows(shape, x, c);
        const auto [g, anchors] = pull(exponents(shape, rows), n, Pairs{a.labels, a.strata});
        for (int i = 0; i < n; ++i) {
            std::vector<double> slope(size_t(rows.d));
            const double* u = rows.row(i);
            for (int j = 0; j < n; ++j) {
                const double sym = g[size_t(i) * n + j] + g[size_t(j) * n + i];
                const double* v = rows.row(j);
                for (int64_t k = 0; k < rows.d; ++k)
                    slope[size_t(k)] += shape.distance == Distance::cosine ? -sym * v[k] : 2 * sym * (u[k] - v[k]);
            }
            const double norm = rows.norm[size_t(i)];
            const double along = shape.distance == Distance::cosine ? rows.dot(slope.data(), u) : 0.0;
            const double factor =
                anchors == 0 || norm < kSmallestNorm ? 0.0 : a.dscore[c] / (shape.temperature * anchors * norm);
            for (int h = 0; h < shape.x.h; ++h)
                for (int w = 0; w < shape.x.w; ++w) {
                    const size_t k = size_t(h) * shape.x.w + w;
                    put(dx(i, c, h, w), factor * (slope[k] - along * u[k]), a.write);
                }
        }
    }
    zero_padding(dx);
}

template <class T>
constexpr Snnl snnl{.scratch_bytes = scratch_bytes, .forward = forward<T>, .backward = backward<T>};

}  // namespace

extern const Snnl snnl_f32{snnl<float>};
extern const Snnl snnl_f64{snnl<double>};

}  // namespace fp::reference
