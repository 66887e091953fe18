// Calibration of the probabilities of a group, class by class.
//
//   reliability   per bin of the top probability: how many cases, their mean probability and how many of them are right;
//                 ece (engine/fairness/metrics.h) is sum_b n_b / n |accuracy - confidence|
//   class_ece     the same of each class against the rest: sum_b n_b / n |share of the class - mean probability|, over
//                 kEceBins bins of its probability
//   classwise     their mean over classes with truth in the group
#pragma once

#include <string>
#include <vector>

#include "engine/fairness/intervals.h"
#include "engine/fairness/predictions.h"

namespace fp {

struct Cohort;
struct EvaluateOptions;

struct ReliabilityBin {
    int64_t samples = 0;
    double confidence = kNotEstimable, accuracy = kNotEstimable;
};

struct Calibration {
    std::vector<ReliabilityBin> reliability = {};  // kEceBins; empty without probabilities
    std::vector<double> class_ece = {};
    double classwise = kNotEstimable;
};
// Over the cases whose group is `group`; over all where `group_of_case` is empty.
Calibration calibration_of(const Predictions&, const std::vector<int>& group_of_case = {}, int group = 0);

// The largest difference of two groups' classwise ECE over the classes with truth in every compared group. Noise lifts an
// ECE, and more so in a small group: read the value beside `fair_high` and p, from groups permuted within diagnosis.
struct CalibrationGap {
    double value = kNotEstimable, fair_high = kNotEstimable, p = kNotEstimable;
    std::string group_a = {}, group_b = {};  // a is calibrated worse
    int classes = 0;
    std::string reason = {};
};
CalibrationGap calibration_gap(const Predictions&, const Cohort&, const EvaluateOptions&);

}  // namespace fp
