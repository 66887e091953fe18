// The cases of predictions in the groups of one attribute, and the units (such as lesions) that are resampled whole.
//
// The figures of one or two models under thousands of resamples, permutations and swaps of units. Each of these is
// a weighting or regrouping of the same cases, scored by the same Scorer, and a function of (seed, r) alone:
// threads and order do not matter.
//
// Two models are one Scorer over both models' cases, one after the other: case i of model m is m * cases + i,
// its group g becomes m * groups + g, so each resample is the same for both and one pass scores both.
#pragma once

#include "engine/fairness/evaluate.h"
#include "engine/fairness/gaps.h"

namespace fp {

struct Cohort {
    std::vector<std::string> groups;  // names; `unknown` last, where there are any
    bool has_unknown = false;
    std::vector<int> group_of_case;                // 0 .. groups - 1
    std::vector<int> compared = {};                // the groups that gaps are taken over, rising
    std::vector<bool> in_compared = {};            // per case: its group is compared
    std::vector<int> unit_of_case = {};            // units are numbered in the order of their first case
    std::vector<int> group_of_unit = {};           // of its first case whose group is known
    std::vector<int> diagnosis_of_unit = {};       // the label of its first case
    std::vector<int> units_of_group = {};          // units with a case in the group
    std::vector<std::vector<int>> positives = {};  // positives[group][class]: units with a case of both
    std::vector<double> share = {};                // of each class in the compared cases (GroupFigures)
    int min_group_size = 0;
    int64_t units_in_two_groups = 0;

    int64_t cases() const { return int64_t(group_of_case.size()); }
    int size() const { return int(groups.size()); }
    int units() const { return int(group_of_unit.size()); }
    bool is_compared(int group) const;
    bool is_unknown(int group) const { return has_unknown && group == size() - 1; }
    // Empty where there are two groups to compare.
    std::string why_no_gaps() const;
};

// Everything in one group, called "all".
Cohort whole(const Predictions& predictions);

// By an attribute ("sex", "age:60", "sex*age:60"). Gaps are taken over the known groups of at least
// `min_group_size` units.
Cohort by_attribute(const Predictions& predictions, const std::string& attribute, int min_group_size);

// Threads for work that visits cases so often: starting one pays off from some number of visits on.
int threads_for(int64_t visits, const EvaluateOptions&);

using Strata = std::vector<std::vector<int>>;               // the units of each stratum
Strata strata_of(const std::vector<int>& stratum_of_unit);  // a unit of stratum -1 is in none
// Resample r of the stratified bootstrap: as many units of each stratum as it has, with replacement.
void draw_bootstrap(const Strata&, uint64_t seed, uint64_t r, std::vector<uint16_t>& times_of_unit);
// Permutation r of the labels of the units within each stratum.
void permute_labels(const Strata&, uint64_t seed, uint64_t r, std::vector<uint16_t>& label_of_unit);
// Swap r: for each unit, whether the two models exchange their predictions, with probability 1/2.
void draw_swaps(uint64_t seed, uint64_t r, std::vector<uint16_t>& swap_of_unit);

// Rows of figures: those of the first model by Layout, then those of the second, if there is one.
struct FigureRows {
    Layout layout;  // of one model
    int models = 1;
    int seen = 0;  // of GroupFigures
    int64_t count = 0;
    std::vector<double> values = {};
    std::vector<double> share = {};  // of GroupFigures

    GroupFigures figures(int64_t r, int model = 0) const {
        return {layout, seen, values.data() + (r * models + model) * layout.width(), share};
    }
    // statistic(r) of each row.
    template <class Statistic>
    std::vector<double> each(Statistic statistic) const {
        std::vector<double> out(count);
        for (int64_t r = 0; r < count; ++r) out[r] = statistic(r);
        return out;
    }
    std::vector<double> column(int index) const {  // of the first model
        return each([&](int64_t r) { return figures(r).row[index]; });
    }
};

// The cases as they are: one row.
FigureRows observed(const Scorer&, const Cohort&);

// Units drawn with replacement within each group of units. A cohort whose cases are all in one group, but whose
// units keep theirs, gives overall figures of the same resamples.
FigureRows bootstrap(const Scorer&, const Cohort&, const EvaluateOptions&, MetricSet metrics = MetricSet::all);

// The group labels of the compared units permuted within diagnosis; one model. Cases whose own group is not compared
// stay out.
FigureRows permute_groups(const Scorer&, const Cohort&, const EvaluateOptions&, MetricSet metrics = MetricSet::all);

// The predictions of the two models exchanged, unit by unit, with probability 1/2.
FigureRows swap_models(const Scorer&, const Cohort&, const EvaluateOptions&);

}  // namespace fp
