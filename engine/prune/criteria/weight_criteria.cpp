// Criteria from the weights alone. W_c is the channel's filter in one layer; values are summed over the layers that
// make the set's channels.
#include <cmath>

#include "engine/prune/criteria/criteria.h"
#include "engine/prune/cut.h"
#include "kernels/name_key.h"
#include "kernels/random.h"

namespace fp {
namespace {

std::vector<double> row_norms(const Network& net, const Param& p, bool squared) {
    const std::vector<double> w = net.params.get(p);
    const int64_t row = p.count() / p.shape.k;
    std::vector<double> out(p.shape.k, 0.0);
    for (int k = 0; k < p.shape.k; ++k) {
        for (int64_t i = 0; i < row; ++i) {
            const double v = w[size_t(k * row + i)];
            out[k] += squared ? v * v : std::abs(v);
        }
        if (squared) out[k] = std::sqrt(out[k]);
    }
    return out;
}

std::vector<double> absolute(const Network& net, const Param& p) { return row_norms(net, p, false); }
std::vector<double> euclidean(const Network& net, const Param& p) { return row_norms(net, p, true); }

std::vector<double> distances_to_others(const Network& net, const Param& p) {
    const std::vector<double> w = net.params.get(p);
    const int64_t row = p.count() / p.shape.k;
    std::vector<double> out(p.shape.k, 0.0);
#pragma omp parallel for schedule(dynamic)
    for (int a = 0; a < p.shape.k; ++a)
        for (int b = 0; b < p.shape.k; ++b) {
            double sum = 0;
            for (int64_t i = 0; i < row; ++i) {
                const double d = w[size_t(a * row + i)] - w[size_t(b * row + i)];
                sum += d * d;
            }
            out[a] += std::sqrt(sum);
        }
    return out;
}

bool is_gamma(const Param& p) { return p.kind == Param::Kind::vector && p.name.ends_with(".weight"); }

// Sums over the producers of a set; sets without such parameters are left out.
template <bool takes(const Param&), std::vector<double> values(const Network&, const Param&)>
void score_producers(const Scoring& s, ChannelScores& out) {
    const Network& net = s.network();
    for (const ChannelSet& set : s.sets) {
        std::vector<double> sum(set.channels, 0.0);
        bool found = false;
        for (const std::string& name : set.rows) {
            const Param& p = *net.params.find(name);
            if (!takes(p)) continue;
            const std::vector<double> own = values(net, p);
            for (int c = 0; c < set.channels; ++c) sum[c] += own[c];
            found = true;
        }
        if (found) out.sets[set.name()] = std::move(sum);
    }
}

void score_random(const Scoring& s, ChannelScores& out) {
    for (const ChannelSet& set : s.sets) {
        const uint64_t key = key_of(s.options.seed, key_of_name(set.name()));
        for (int c = 0; c < set.channels; ++c) out.sets[set.name()].push_back(uniform_double(key, uint64_t(c)));
    }
}

constexpr Criterion of_weights(const char* name,
                               const char* says,
                               const char* paper,
                               void (*score)(const Scoring&, ChannelScores&)) {
    return {.name = name, .says = says, .paper = paper, .needs = Needs::weights, .score = score};
}

}  // namespace

namespace criteria {

extern const Criterion random{.name = "random",
                              .says = "any channel, from --seed",
                              .paper = "",
                              .needs = Needs::weights,
                              .score = score_random,
                              .settings = "seed"};

constexpr const char* kFilterPruning = "https://arxiv.org/abs/1608.08710";
extern const Criterion l1 = of_weights("l1", "sum |W_c|", kFilterPruning, score_producers<is_filter, absolute>);
extern const Criterion l2 = of_weights("l2", "sqrt(sum W_c^2)", kFilterPruning, score_producers<is_filter, euclidean>);
extern const Criterion bn =
    of_weights("bn", "batch norm's |gamma_c|", "https://arxiv.org/abs/1708.06519", score_producers<is_gamma, absolute>);
extern const Criterion fpgm = of_weights("fpgm",
                                         "sum_j |W_c - W_j|_2: the most replaceable go",
                                         "https://arxiv.org/abs/1811.00250",
                                         score_producers<is_filter, distances_to_others>);

}  // namespace criteria

}  // namespace fp
