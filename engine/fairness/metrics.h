// Metrics of a classifier over a set of cases, each of which may count several times (a bootstrap resample is
// such a weighting) or belong to a group. What cannot be estimated is NaN.
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
//                       least the one asked for; no interpolation between thresholds
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/fairness/confusion.h"
#include "engine/fairness/predictions.h"

namespace fp {

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

double accuracy(const Tally& tally);
double balanced_accuracy(const Tally& tally);

struct MacroScores {
    double precision, recall, f1;
};
MacroScores macro_scores(const Tally& tally);

constexpr int kEceBins = 15;
int ece_bin(double confidence);  // 0 .. kEceBins - 1

// "Sensitivity of this class at this specificity", if it is wanted.
struct OperatingPoint {
    int positive = -1;  // class index; -1: not wanted
    double specificity = 0.8;
};

// Exit::usage where there is no such class; none is wanted where the name is empty.
OperatingPoint operating_point(const Predictions&, const std::string& positive, double specificity);

// How often a case counts, and in which group; a case that counts nowhere has times 0.
struct Membership {
    uint16_t group = 0, times = 1;
};

// The figures of one group as numbers in a row: metrics, then TPR, FPR and selected of each class.
struct Layout {
    int groups = 1, classes = 0;

    int group_width() const { return kMetrics + 3 * classes; }
    int width() const { return groups * group_width(); }
    int metric(int g, int m) const { return g * group_width() + m; }
    int tpr(int g, int c) const { return g * group_width() + kMetrics + c; }
    int fpr(int g, int c) const { return tpr(g, c) + classes; }
    int selected(int g, int c) const { return fpr(g, c) + classes; }
};

enum class Parts { counts, all };  // without or with the metrics that read probabilities

// Everything about some predictions that does not depend on the weighting: sorted once, scored many times.
class Scorer {
public:
    explicit Scorer(const Predictions& predictions, OperatingPoint point = {});

    // A group's half-way state of the sum behind an AUC; won is doubled, so that ties stay whole numbers.
    struct RankSum {
        int64_t tie, positive, negative, positives, below, twice_won;
    };
    // A group's half-way state of a threshold that falls from above; a tie is taken whole.
    struct Sweep {
        int64_t tie, positive, negative, taken, false_alarms, best;
    };
    struct Scratch {
        std::vector<Tally> tally;
        std::vector<RankSum> ranks;
        std::vector<Sweep> sweeps;
        std::vector<double> sums;
    };
    // row[Layout{groups, classes}.width()], every number written. `members` has one entry a case.
    void figures(const std::vector<Membership>& members, int groups, Parts parts, Scratch& scratch, double* row) const;

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
    void aucs(const std::vector<Membership>&, int groups, Scratch&, double* row) const;
    void calibration(const std::vector<Membership>&, int groups, Scratch&, double* row) const;
    void sensitivities(const std::vector<Membership>&, int groups, Scratch&, double* row) const;

    int classes_ = 0;
    OperatingPoint point_;
    std::vector<int> label_, pred_;
    std::vector<Ranked> order_;  // classes x cases, each class by rising probability
    std::vector<double> confidence_;
    std::vector<uint8_t> bin_, right_;
};

}  // namespace fp
