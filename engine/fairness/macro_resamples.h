// Resamples of the means over classes (balanced accuracy, macro precision, recall and F1) that do not take a class of
// few units at its word: a class whose three lesions are all recognised would be recognised in every resample.
//
// In each resample a drawn unit of class c keeps its predictions with probability n_c / (n_c + 1), n_c the units of the
// class in its group. Otherwise all its images are judged as an image of the group is: right with the probability of
// the group's accuracy, else predicted as another class as often as the group's predictions name that one. So each class
// has one unit more, of the group's average. With many units per class this is the bootstrap.
#pragma once

#include "engine/fairness/bootstrap.h"

namespace fp {

// Whether the interval of a metric is made of these.
constexpr bool is_macro(int metric) { return metric >= kBalancedAccuracy && metric <= kMacroF1; }

class MacroResamples {
public:
    // The same units in each resample as bootstrap(). Empty where options.resamples is 0.
    MacroResamples(const Predictions&, const Cohort&, const EvaluateOptions&);
    std::vector<double> of(int group, int metric) const;  // is_macro(metric)

private:
    static constexpr int kWidth = kMacroF1 + 1;
    int groups_;
    int64_t count_;
    std::vector<double> values_;  // count x groups x kWidth
};

}  // namespace fp
