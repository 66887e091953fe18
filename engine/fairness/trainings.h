// k trainings of one method, judged on the same images, alone or in pairs with k trainings of another method: what holds
// for the methods and for other lesions, not for two networks on these images.
//
// A figure X_j of training j varies with the units (such as lesions), which all trainings share, with the training, and
// with both at once. For the mean over k trainings, crossed random effects:
//
//   U  = variance of the resampled mean          units alone + (units x trainings) / k
//   I  = sum_j var(X_j - mean) / (k - 1)         over resamples: units x trainings
//   S  = sum_j (X_j - mean)^2 / (k - 1)          trainings + units x trainings
//   error^2  = max(U, U - I / k + S / k)         mean +- t error
//   freedom  = error^4 / ((S / k)^2 / (k - 1) + (error^2 - S / k)^2 / (units - 1))      (Satterthwaite)
//
// Pairs: X_j is the difference within pair j.
#pragma once

#include <functional>
#include <optional>

#include "engine/fairness/gap_report.h"

namespace fp {

// Any function of the figures of one training: a metric, the worst group's, a gap, an rms gap.
struct TrainingStatistic {
    std::string key, formula;
    std::function<Resampled(const Cohort&, const Scored&)> of;
    bool lifted = false;  // by noise, as ece: only the difference of two methods has an interval
    // Its true value lies in [0, 1], and so a difference in [-1, 1]: intervals end there. What is cut off cannot be true,
    // so they cover as often as before.
    bool share = false;
};

struct CrossedEstimate {
    std::vector<double> values = {};  // per training, or per pair
    double mean = kNotEstimable, low = kNotEstimable, high = kNotEstimable;
    double p = kNotEstimable;             // of a mean of 0, two-sided
    double sd_trainings = kNotEstimable;  // root of S, and of U below
    double error_units = kNotEstimable;
    double error = kNotEstimable, freedom = kNotEstimable;
    // The smallest difference from 0 that this many trainings on these units find with power 0.8 at this level.
    double detectable = kNotEstimable;
    std::string reason = {};  // why there is no interval, or no mean
};
CrossedEstimate crossed_estimate(const std::vector<Resampled>& trainings, int units, double confidence);

struct TrainingsFigure {
    std::string key, formula;
    CrossedEstimate ours;
    std::optional<CrossedEstimate> other = {}, difference = {};  // ours - other, pair by pair
};

struct TrainingsReport {
    struct Attribute {
        std::string name, no_gaps = {};
        std::vector<TrainingsFigure> figures = {};
    };
    int64_t samples = 0, units = 0;
    int trainings = 0;
    std::vector<TrainingsFigure> metrics = {};
    std::vector<Attribute> attributes = {};
    EvaluateOptions options = {};
};

// Overall the metrics; by attribute rms_squared (primary_gap.h), each metric of the worst
// group as "worst_accuracy", of each group as "accuracy:GROUP", and what `more` adds. `theirs` may be empty.
// Exit::data unless all judge the same images with the same labels; Exit::usage unless there are as many of both.
TrainingsReport compare_trainings(const std::vector<Predictions>& ours,
                                  const std::vector<Predictions>& theirs,
                                  const std::vector<std::string>& attributes,
                                  const EvaluateOptions& options = {},
                                  const std::vector<TrainingStatistic>& more = {});

}  // namespace fp
