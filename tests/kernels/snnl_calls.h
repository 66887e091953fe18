// The soft nearest neighbour loss as tests call it: a case, its groups, and its results on a backend.
#pragma once

#include <algorithm>

#include "tests/kernels/compare.h"

namespace fp::testing::neighbours {

using Distance = SnnlShape::Distance;
using Definition = SnnlShape::Definition;
using Labels = std::vector<int32_t>;

struct SnnlCase {
    Map x;
    double temperature = 1;
    Distance distance = Distance::cosine;
    Definition definition = Definition::exact;
    size_t scratch_limit = SnnlShape().scratch_limit;
    int of_channels = 0;
};

struct Groups {
    Labels labels;    // (sets, n)
    Labels strata{};  // none if empty
};

inline SnnlShape shape_on(const Device& on, const SnnlCase& c, int sets) {
    return {.x = on.map(c.x),
            .sets = sets,
            .temperature = c.temperature,
            .distance = c.distance,
            .definition = c.definition,
            .scratch_limit = c.scratch_limit,
            .of_channels = c.of_channels};
}

// One score per label set and channel.
inline Values forward(const Kernels& k, const SnnlCase& c, const Values& features, const Groups& groups) {
    const Device on{k};
    const int sets = int(groups.labels.size()) / c.x.n;
    const SnnlShape s = shape_on(on, c, sets);
    const Buffer scratch(k, k.snnl.scratch_bytes(s, false));
    const Tensor x = on.act_in(s.x, features);
    const Array<int32_t> labels(k, groups.labels), strata(k, groups.strata);
    const Array<double> scores(k, size_t(sets) * size_t(c.x.c));
    k.snnl.forward(s, {.x = x, .labels = labels, .strata = strata.if_given(!groups.strata.empty()), .scores = scores},
                   scratch.data(), {});
    return scores.values();
}

inline Values backward(const Kernels& k,
                       const SnnlCase& c,
                       const Values& features,
                       const Groups& groups,
                       const Values& slopes,
                       Write write,
                       const Values& before) {
    const Device on{k};
    const SnnlShape s = shape_on(on, c, 1);
    const Buffer scratch(k, k.snnl.scratch_bytes(s, true));
    const Tensor x = on.act_in(s.x, features), dx = on.act_grad(s.x, write, before);
    const Array<int32_t> labels(k, groups.labels), strata(k, groups.strata);
    const Array<double> dscore(k, slopes);
    k.snnl.backward(s,
                    {.x = x,
                     .labels = labels,
                     .strata = strata.if_given(!groups.strata.empty()),
                     .dscore = dscore,
                     .dx = dx,
                     .write = write},
                    scratch.data(), {});
    return dx.values();
}

// NaN, a set without anchors, as a number that no score is.
inline Values estimable(Values scores) {
    for (double& score : scores)
        if (std::isnan(score)) score = -1000;
    return scores;
}

// The exact score when every distance is equal: - sum_g (n_g / M) log((n_g - 1) / (N - 1)), n_g >= 2.
inline double chance(const Labels& labels) {
    std::vector<int> count;
    int known = 0;
    for (const int32_t label : labels) {
        if (label < 0) continue;
        count.resize(std::max(count.size(), size_t(label) + 1));
        ++count[size_t(label)], ++known;
    }
    double sum = 0;
    int anchors = 0;
    for (const int n : count)
        if (n >= 2) sum -= n * std::log((n - 1.0) / (known - 1.0)), anchors += n;
    return sum / anchors;
}

inline Labels random_labels(int count, int groups, uint64_t seed) {
    Labels labels;
    for (int i = 0; i < count; ++i) labels.push_back(int32_t(uniform_below(uint64_t(groups), seed, uint64_t(i))));
    return labels;
}

}  // namespace fp::testing::neighbours
