// The validation metric that chooses the best epoch of a training run, or the best round of pruning.
#pragma once

#include "engine/eval/predict.h"
#include "engine/io/steps.h"

namespace fp {

// `select` is one of
//   loss, accuracy, balanced_accuracy, ...   over all samples (engine/fairness/metrics.h)
//   GAP:ATTRIBUTE        a gap between the groups of this attribute (engine/fairness/gaps.h)
//   worst:ATTRIBUTE      the accuracy of the worst group; worst:METRIC:ATTRIBUTE any metric of it, as worst:macro_auc:sex
//   minimax:ATTRIBUTE    the largest mean loss of a group
//   operating:CLASS:ATTRIBUTE, operating:CLASS@SPECIFICITY:ATTRIBUTE
//                        the gap in sensitivity to this class, predicted from the threshold on that gives all samples
//                        together the highest sensitivity at a specificity of at least this (0.8)
//   rms:ATTRIBUTE        minus rms^2 of the primary gap (engine/fairness/primary_gap.h)
// The sign is such that more is better. NaN where the metric cannot be estimated; Exit::usage, naming the option, for
// an unknown name. `progress`: of the resamples of an rms gap.
double selection_value(const Predictions&,
                       const std::string& select,
                       const std::vector<std::string>& attributes,
                       const std::string& option = "--select",
                       const Steps& progress = {});

// The same error before any image is read.
void check_selection(const std::string& select,
                     const std::vector<std::string>& attributes,
                     const ImageData&,
                     const std::string& option = "--select");

// Those names, for help.
std::string selection_words();

}  // namespace fp
