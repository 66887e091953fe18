// Two models on the same images: is the first fairer, or more accurate, than the other?
//
//   metrics   difference with a percentile interval over the same resamples of units, and a swap test
//   gaps      swap test, and the difference of rms^2 with an interval; the difference of two mean-absolute gaps
//             itself has no valid percentile interval, so it has none
//   FATE      (acc - acc_b)/acc_b - (eodd - eodd_b)/eodd_b, b the other model; acc = macro-F1 (`fate_f1`, which
//             is what the released code computes) or accuracy. Without an interval: a bootstrap's covered .995 and
//             more where nothing changed and .855 where the gap halved (noise moves absolute gaps up). It rewards a broken model: one that predicts
//             the same class for all has no gap, so FATE = acc/acc_b > 0; `fate_note` says where that may be so.
//
// Swap test: exchange the two models' predictions unit by unit with probability 1/2, R times;
// p = (1 + #{|difference| >= seen}) / (1 + R). Holm's correction runs over all p of the comparison.
// Class-wise gaps run up to the highest label or prediction of either model, and rms^2 is that of the pair of
// groups which is worst in the other model.
#pragma once

#include "engine/fairness/evaluate.h"

namespace fp {

// `value` = model - other.
struct Difference : TestedMeasure {
    double model = kNotEstimable, other = kNotEstimable;
    double rms_squared_low = kNotEstimable, rms_squared_high = kNotEstimable;
    bool changed = false;  // p_holm is within what the confidence leaves
};

struct GroupComparison {
    std::string name;
    int64_t samples = 0;
    std::vector<Difference> metrics;  // without p: the family of tests is the gaps and the overall metrics
};

struct AttributeComparison {
    std::string name;
    std::vector<GroupComparison> groups;
    std::vector<Difference> gaps;
    std::string no_gaps;
    std::vector<Measure> fate;  // fate_f1, fate_accuracy
    std::string fate_note;      // where one is above 0 and its accuracy fell
};

struct Comparison {
    int64_t samples = 0, units = 0;
    std::vector<Difference> metrics;
    std::vector<AttributeComparison> attributes;
    EvaluateOptions options;
};

// The other model's predictions in the rows, classes and groups of the first.
// Exit::data unless both hold the same images with the same labels, and one's classes are among the other's.
Predictions on_rows_of(const Predictions& model, const Predictions& other);

// Exit::data as on_rows_of.
Comparison compare(const Predictions& model,
                   const Predictions& other,
                   const std::vector<std::string>& attributes,
                   const EvaluateOptions& options = {});

}  // namespace fp
