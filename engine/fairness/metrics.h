// Metrics of a classifier over a set of cases, each of which may count several times (a bootstrap resample is
// such a weighting) or belong to a group. What cannot be estimated is NaN.
//
// Class c against the rest: TP = truth c and predicted c, FN = truth c and not predicted c, FP and
// TN likewise. A rate whose denominator is 0 is NaN.
//
//   TPR_c = TP / (TP + FN)     FPR_c = FP / (FP + TN)     TNR_c = 1 - FPR_c     selected_c = (TP + FP) / n
//
//   accuracy            hits / n
//   balanced_accuracy   mean TPR over classes with truth
//   macro_precision,    mean over classes with truth or prediction; 0/0 counts as 0 (as scikit-learn)
//   macro_recall,
//   macro_f1
//   macro_auc           mean over classes with both kinds of case of P(score of a positive > score of a
//                       negative) + P(equal) / 2
//   ece                 sum_b (n_b / n) |accuracy_b - mean confidence_b|, 15 equal bins of the top
//                       probability, closed on the right; a case is right where its top class is the truth
//   sensitivity         the highest TPR of a named class over thresholds `prob >= t` whose specificity is at
//                       least the one asked for; no interpolation between thresholds. Each group has its own threshold
//                       then. Without probabilities, as at_threshold() leaves them: the TPR of the class as predicted,
//                       by one threshold for all
#pragma once

#include <array>

#include "engine/fairness/predictions.h"

namespace fp {

// The margins and the diagonal of a confusion matrix: all that metrics and gaps of predicted classes need, and
// three numbers per class instead of `classes`, so that thousands of resamples of it are cheap.
struct Tally {
    int64_t n = 0;
    std::vector<int64_t> truth, predicted, hit;  // per class: TP + FN, TP + FP, TP

    Tally() = default;
    explicit Tally(int classes) : truth(classes), predicted(classes), hit(classes) {}
    int classes() const { return int(truth.size()); }
    void add(int label, int pred, int64_t times) {
        n += times;
        truth[label] += times;
        predicted[pred] += times;
        if (label == pred) hit[label] += times;
    }

    double tpr(int c) const;
    double fpr(int c) const;
    double selected(int c) const;
};

struct Confusion {
    int classes = 0;
    std::vector<int64_t> count;  // count[truth * classes + predicted]

    int64_t at(int truth, int predicted) const { return count[size_t(truth) * classes + predicted]; }
};

// Over the cases whose group is `group`; over all where `group_of_case` is empty.
Confusion confusion(const Predictions&, const std::vector<int>& group_of_case = {}, int group = 0);
Tally tally(const Confusion&);

// a / b, NaN where b is 0.
double ratio(double a, double b);

enum Metric {
    kAccuracy,
    kBalancedAccuracy,
    kMacroPrecision,
    kMacroRecall,
    kMacroF1,
    kMacroAuc,
    kEce,
    kSensitivity,
    kMetrics
};

struct MetricDefinition {
    const char *key, *formula;
    bool lower_is_better, needs_probabilities;
    bool absolute;  // a sum of absolute values: noise only ever adds to it
};
extern const std::array<MetricDefinition, kMetrics> kMetricDefinitions;

// accuracy, balanced_accuracy, macro_precision, macro_recall and macro_f1, at their places in `enum Metric`.
std::array<double, kMacroF1 + 1> count_metrics(const Tally&);

constexpr int kEceBins = 15;
int ece_bin(double confidence);  // 0 .. kEceBins - 1

// "Sensitivity of this class at this specificity", if it is wanted.
struct OperatingPoint {
    int positive = -1;  // class index; -1: not wanted
    double specificity = 0.8;
};

// Exit::usage where there is no such class; none is wanted where the name is empty.
OperatingPoint operating_point(const std::vector<std::string>& classes,
                               const std::string& positive,
                               double specificity);

// How often a case counts, and in which group; a case that is left out has times 0.
struct Membership {
    uint16_t group = 0, times = 1;
};

// The figures of one group as numbers in a row: metrics, then TPR, FPR, selected and AUC against the rest of each class,
// then, of at most kMostConfused classes, the confusion matrix: the share of each prediction in each true class.
struct Layout {
    static constexpr int kMostConfused = 16;
    int groups = 1, classes = 0;

    bool has_confusion() const { return classes <= kMostConfused; }
    int group_width() const { return kMetrics + 4 * classes + (has_confusion() ? classes * classes : 0); }
    int width() const { return groups * group_width(); }
    int metric(int g, int m) const { return g * group_width() + m; }
    int tpr(int g, int c) const { return g * group_width() + kMetrics + c; }
    int fpr(int g, int c) const { return tpr(g, c) + classes; }
    int selected(int g, int c) const { return fpr(g, c) + classes; }
    int auc(int g, int c) const { return selected(g, c) + classes; }
    int confused(int g, int truth, int pred) const { return auc(g, 0) + classes + truth * classes + pred; }
};

enum class MetricSet { counts, all };  // without or with the metrics that read probabilities

// Predictions, sorted once for all weightings, which are then scored one by one.
class Scorer {
public:
    explicit Scorer(const Predictions& predictions, OperatingPoint point = {});

    // row[Layout{groups, classes}.width()], every number written. `members` has one entry per case.
    void figures(const std::vector<Membership>& members, int groups, MetricSet metrics, double* row) const;

    // 1 + the highest label or prediction among the counted cases; `counted` is of one model's cases.
    int seen(const std::vector<bool>& counted) const;

    int64_t cases() const { return int64_t(label_.size()); }
    int classes() const { return classes_; }
    bool has_probabilities() const { return !order_.empty(); }
    const OperatingPoint& point() const { return point_; }

private:
    struct Ranked {
        uint32_t case_index;
        uint32_t tie : 30;  // the same number for cases of equal score, rising with the score
        uint32_t tied : 1;  // another case has this score
        uint32_t positive : 1;
    };
    using Tallies = std::vector<Tally>;  // per group
    void aucs(const std::vector<Membership>&, const Tallies&, double* row) const;
    void calibration(const std::vector<Membership>&, const Tallies&, double* row) const;
    void sensitivities(const std::vector<Membership>&, const Tallies&, double* row) const;

    int classes_ = 0;
    OperatingPoint point_;
    std::vector<int> label_, pred_;
    std::vector<Ranked> order_;  // classes x cases, each class by rising probability
    std::vector<double> confidence_;
    std::vector<uint8_t> bin_, right_;
};

}  // namespace fp
