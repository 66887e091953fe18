// The cases of a set of predictions in the groups of one attribute, and the units that are resampled whole.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/fairness/predictions.h"

namespace fp {

// Which cases belong to the same unit. Units are numbered in the order of their first case.
struct Units {
    std::vector<int> of_case;
    std::vector<int> first_case;  // a unit
    int count() const { return int(first_case.size()); }
};
Units units_of(const Predictions& predictions);

struct Cohort {
    Units units;
    std::vector<std::string> groups;  // names; `unknown` last, where there are any
    bool has_unknown = false;
    std::vector<int> group_of_case;      // 0 .. groups - 1
    std::vector<int> group_of_unit;      // of its first case whose group is known
    std::vector<int> diagnosis_of_unit;  // the label of its first case
    std::vector<int> compared;           // the groups that gaps are taken over, rising
    int min_group_size = 0;
    int seen = 0;  // 1 + the highest label or prediction among the compared cases
    int64_t units_in_two_groups = 0;

    int64_t cases() const { return int64_t(group_of_case.size()); }
    int size() const { return int(groups.size()); }
    bool is_compared(int group) const;
    bool is_unknown(int group) const { return has_unknown && group == size() - 1; }
    // Empty where there are two groups to compare.
    std::string why_no_gaps() const;
};

// Everything in one group, called "all".
Cohort whole(const Predictions& predictions);

// By an attribute ("sex", "age:60", "sex*age:60"). Gaps are taken over the known groups of at least
// `min_group_size` cases.
Cohort by_attribute(const Predictions& predictions, const std::string& attribute, int min_group_size);

}  // namespace fp
