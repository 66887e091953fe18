#include "engine/fairness/group_pareto.h"

#include <algorithm>
#include <cmath>

namespace fp {

GroupPoint group_point(const AttributeReport& attribute, std::string_view metric) {
    const bool negated =
        std::ranges::any_of(kMetricDefinitions, [&](const auto& m) { return m.lower_is_better && m.key == metric; });
    GroupPoint out;
    double sum = 0;
    int groups = 0;
    for (const GroupReport& g : attribute.groups) {
        if (!g.in_gaps) continue;
        const double v = negated ? -g.metric(metric).value : g.metric(metric).value;
        if (std::isnan(v)) return {};
        out.worst = groups == 0 ? v : std::min(out.worst, v);
        sum += v;
        ++groups;
    }
    out.mean = ratio(sum, groups);
    return out;
}

std::vector<bool> dominated_over_groups(const std::vector<GroupPoint>& all) {
    const auto merit = [](double v) { return std::isnan(v) ? -HUGE_VAL : v; };
    const auto dominates = [&](const GroupPoint& a, const GroupPoint& b) {
        return merit(a.worst) >= merit(b.worst) && merit(a.mean) >= merit(b.mean) &&
               (merit(a.worst) > merit(b.worst) || merit(a.mean) > merit(b.mean));
    };
    std::vector<bool> out;
    for (const GroupPoint& own : all)
        out.push_back(std::ranges::any_of(all, [&](const GroupPoint& other) { return dominates(other, own); }));
    return out;
}

}  // namespace fp
