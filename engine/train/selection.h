// The validation metric that chooses the best epoch of a training run, or the best round of pruning.
#pragma once

#include <string>
#include <vector>

#include "engine/fairness/predictions.h"

namespace fp {

// `select` is one of
//   loss, accuracy, balanced_accuracy, macro_f1, macro_auc   over all samples
//   GAP:ATTRIBUTE        a gap between the groups of this attribute (engine/fairness/metrics.h)
//   worst:ATTRIBUTE      the accuracy of the worst group
//   rms:ATTRIBUTE        the root mean square gap per class, without what sampling noise adds to it
// The sign is such that more is better. NaN where the metric cannot be estimated; Exit::usage for an unknown name.
double selection_value(const Predictions&, const std::string& select, const std::vector<std::string>& attributes);

}  // namespace fp
