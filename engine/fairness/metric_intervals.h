// The interval of each metric of a group, by what covers (docs/method.md, 10):
//
//   accuracy and rates per class   percentile bootstrap; Wilson's in small cells (small_cells.h)
//   means over classes             percentiles of resamples with a unit of the group's average in each class
//                                  (macro_resamples.h), and the value itself
//   ece                            none: noise adds to a sum of absolute values, and the basic bootstrap of it covered .49
//                                  (120 lesions) and .75 (500) in our simulation
//   macro_auc, sensitivity         percentile bootstrap
//   the worst group's              of the smallest of the groups' true values (of ece the largest), whichever group has
//                                  it: low = min_g low_g; high = min_g high_g at confidence 1 - (1 - confidence) / groups,
//                                  since each of several equal groups may have been seen too low
#pragma once

#include "engine/fairness/gap_report.h"
#include "engine/fairness/macro_resamples.h"
#include "engine/fairness/small_cells.h"

namespace fp {

class MetricIntervals {
public:
    // Without resamples there are no intervals.
    MetricIntervals(const Predictions&, const Cohort&, const Scored&, const EvaluateOptions&);

    Interval of(int group, int metric, double confidence) const;
    Interval of(int group, int metric) const { return of(group, metric, scored_.confidence); }
    Interval worst_of(const std::vector<int>& groups, int metric) const;
    // Those of the rates of class c in a group.
    void set_rates(ClassFigures&, int group, int c) const;

private:
    const Scored& scored_;
    std::vector<GroupCells> cells_;
    MacroResamples macro_;
};

}  // namespace fp
