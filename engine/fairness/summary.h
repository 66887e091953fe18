// The values of a set of predictions alone, without intervals: what an epoch or a round of pruning is recorded by.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/fairness/predictions.h"

namespace fp {

// NaN: not estimable.
struct Figure {
    std::string key;
    double value = 0;
};

struct GroupSummary {
    std::string name;
    int64_t samples = 0;
    std::vector<Figure> metrics;
};

struct AttributeSummary {
    std::string name;  // as --attribute spells it
    std::vector<GroupSummary> groups;
    std::vector<Figure> gaps;  // none where fewer than two groups are large enough

    double gap(std::string_view key) const;  // NaN where there is none
};

struct Summary {
    int64_t samples = 0;
    double loss = 0;  // mean cross entropy; NaN without probabilities
    // accuracy, balanced_accuracy, ..., in the order of Report::metrics
    std::vector<Figure> metrics = {};
    std::vector<AttributeSummary> attributes = {};

    double metric(std::string_view key) const;                       // an Error for an unknown key
    const AttributeSummary* attribute(std::string_view name) const;  // null where there is none
};

Summary summarize(const Predictions&, const std::vector<std::string>& attributes);

}  // namespace fp
