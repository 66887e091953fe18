// Two models on the same images: is the first fairer, or more accurate, than the other?
//
//   metrics   difference with a percentile interval over the same resamples of units. A loss is judged against a margin
//             (EvaluateOptions): worse, not worse by more than it, or not excluded. Nothing corrects these: a correction
//             guards against claims of a change, and would hide harm. Overall a swap test's p stands beside it
//   primary   the difference of the primary gap's rms^2, with a test (engine/fairness/primary_gap.h): the one answer
//   gaps      the difference of rms^2 with an interval; the difference of two mean-absolute gaps itself has no valid
//             percentile interval, so it has none. These describe and have no p
//   FATE      (acc - acc_b)/acc_b - (eodd - eodd_b)/eodd_b, b the other model; acc = macro-F1 (`fate_f1`, which
//             is what the released code computes) or accuracy. Without an interval: a bootstrap's covered .995 and
//             more where nothing changed and .855 where the gap halved (noise moves absolute gaps up). It rewards a
//             broken model: one that predicts the same class for all has no gap, so FATE = acc/acc_b > 0; `fate_note`
//             says where that may be so.
//
// Swap test: exchange the two models' predictions unit by unit with probability 1/2, R times;
// p = (1 + #{|difference| >= seen}) / (1 + R). Class-wise gaps of the released code run up to the highest label or
// prediction of either model, and rms^2 is the mean over all pairs of groups.
#pragma once

#include "engine/fairness/evaluate.h"

namespace fp {

// Stands beside every FATE.
inline const char* const kFateWarning =
    "FATE rewards a broken model, which has no gap, and is mostly noise where the other's eodd is small; it has no "
    "interval, since none covers";

// What the interval of a change says of a loss: a change for the worse, which for some figures is a rise.
enum class Harm { untested, worse, better, within_margin, not_excluded };

// `value` = model - other.
struct Difference : TestedMeasure {
    double model = kNotEstimable, other = kNotEstimable;
    double rms_squared_low = kNotEstimable, rms_squared_high = kNotEstimable;
    Harm harm = Harm::untested;  // of a metric
    // The largest loss within the interval; 0 where it holds none.
    double largest_loss() const;
};

// Of the primary gap; model, other: rms^2. p_holm is corrected over the attributes of a comparison.
struct PrimaryDifference {
    double model = kNotEstimable, other = kNotEstimable;
    double value = kNotEstimable, sd = kNotEstimable, low = kNotEstimable, high = kNotEstimable;
    double p = kNotEstimable, p_holm = kNotEstimable;
    int classes = 0, pairs = 0;
    std::string reason, verdict;
};

struct GroupComparison {
    std::string name;
    int64_t samples = 0;
    std::vector<Difference> metrics;  // without p
};

struct AttributeComparison {
    std::string name;
    std::vector<GroupComparison> groups;
    PrimaryDifference primary;
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
    std::string other = "the other network";  // in a verdict's words
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
