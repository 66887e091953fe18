// Models compared by two figures of one metric: that of the worst group, and the mean over groups.
#pragma once

#include <string_view>
#include <vector>

#include "engine/fairness/evaluate.h"

namespace fp {

struct GroupPoint {
    double worst = kNotEstimable, mean = kNotEstimable;  // more is better
};

// Over the groups that take part in gaps; a metric that is better lower is negated. NaN where it is not estimable.
GroupPoint group_point(const AttributeReport&, std::string_view metric);

// Which models are dominated: another one is at least as good in both figures and better in one. NaN is the worst value.
std::vector<bool> dominated_over_groups(const std::vector<GroupPoint>&);

}  // namespace fp
