#include "engine/prune/criteria/criteria.h"

#include <array>
#include <cmath>

namespace fp {

namespace criteria {
extern const Criterion snnl, random, l1, l2, bn, fpgm, taylor, fairprune, fairgrape, skewness, masks;
extern const Criterion none{.name = "none",
                            .says = "removes nothing: a control that is fine-tuned alike",
                            .paper = "",
                            .needs = Needs::weights,
                            .score = nullptr};
}  // namespace criteria

std::span<const Criterion* const> Criterion::all() {
    using namespace criteria;
    static constexpr std::array kAll{&snnl,   &random,    &l1,        &l2,       &bn,    &fpgm,
                                     &taylor, &fairprune, &fairgrape, &skewness, &masks, &none};
    return kAll;
}

int block_of(const ScoreOptions& o) {
    return o.batches.value_or(o.snnl.definition == SnnlShape::Definition::as_released ? 128 : 0);
}

std::vector<std::string> weighted(const ScoreOptions& o) {
    std::vector<std::string> out;
    for (const auto& [name, weight] : o.attributes)
        if (weight != 0) out.push_back(name);
    return out;
}

bool reads_groups(const ScoreOptions& o) {
    const Criterion& criterion = *o.criterion;
    return criterion.needs >= Needs::groups || (criterion.reads_groups && criterion.reads_groups(o));
}

SetScores over_mean(SetScores values) {
    for (auto& [name, v] : values) {
        double mean = 0;
        for (const double x : v) mean += std::abs(x) / double(v.size());
        for (double& x : v) x /= mean > 0 ? mean : 1;
    }
    return values;
}

}  // namespace fp
