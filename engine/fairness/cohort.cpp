#include "engine/fairness/cohort.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "kernels/error.h"

namespace fp {
namespace {

// Fills in what follows from groups, group_of_case and has_unknown.
void complete(Cohort& cohort, const Predictions& p, int min_group_size) {
    cohort.min_group_size = min_group_size;
    std::vector<int64_t> cases(cohort.size());
    for (int g : cohort.group_of_case) ++cases[g];
    for (int g = 0; g < cohort.size(); ++g)
        if (!cohort.is_unknown(g) && cases[g] >= min_group_size) cohort.compared.push_back(g);

    cohort.units = units_of(p);
    cohort.group_of_unit.assign(cohort.units.count(), -1);
    std::vector<uint8_t> in_two(cohort.units.count());
    for (int64_t i = 0; i < p.size(); ++i) {
        const int u = cohort.units.of_case[i], g = cohort.group_of_case[i];
        int& first = cohort.group_of_unit[u];
        if (first < 0 || cohort.is_unknown(first)) first = g;
        if (!cohort.is_unknown(g) && g != first) in_two[u] = 1;
        if (cohort.is_compared(g)) cohort.seen = std::max({cohort.seen, p.label[i] + 1, p.pred[i] + 1});
    }
    cohort.units_in_two_groups = std::count(in_two.begin(), in_two.end(), 1);
    for (int first : cohort.units.first_case) cohort.diagnosis_of_unit.push_back(p.label[first]);
}

}  // namespace

Units units_of(const Predictions& predictions) {
    Units units;
    std::unordered_map<std::string, int> index;
    for (int64_t i = 0; i < predictions.size(); ++i) {
        const auto [found, fresh] = index.emplace(predictions.unit[i], units.count());
        if (fresh) units.first_case.push_back(int(i));
        units.of_case.push_back(found->second);
    }
    return units;
}

bool Cohort::is_compared(int group) const { return std::binary_search(compared.begin(), compared.end(), group); }

std::string Cohort::why_no_gaps() const {
    if (compared.size() >= 2) return "";
    return fmt::format("{} known group{} of at least {} samples", compared.size(), compared.size() == 1 ? "" : "s",
                       min_group_size);
}

Cohort whole(const Predictions& predictions) {
    Cohort cohort;
    cohort.groups = {"all"};
    cohort.group_of_case.assign(predictions.size(), 0);
    complete(cohort, predictions, 0);
    return cohort;
}

constexpr size_t kMostGroups = 50;  // as attributes.h has it: an identifier is no attribute

Cohort by_attribute(const Predictions& predictions, const std::string& attribute, int min_group_size) {
    const Grouping grouping = group_by(attribute_columns(predictions), attribute);
    FP_REQUIRE(grouping.groups.size() <= kMostGroups, Exit::data, "attribute ", attribute, " has ",
               grouping.groups.size(), " groups, at most ", kMostGroups, " can be compared");
    Cohort cohort;
    cohort.groups = grouping.groups;
    cohort.group_of_case = grouping.of;
    for (int& g : cohort.group_of_case) {
        if (g >= 0) continue;
        g = int(grouping.groups.size());
        cohort.has_unknown = true;
    }
    if (cohort.has_unknown) cohort.groups.push_back("unknown");
    complete(cohort, predictions, min_group_size);
    return cohort;
}

}  // namespace fp
