// Gaps between groups.
//
// For a pair of groups 0 and 1, with D_T = TPR_0 - TPR_1 and D_F = FPR_0 - FPR_1 of each class:
//
//   eopp0          mean_c |TNR_0 - TNR_1|            eopp1          mean_c |D_T|
//   eodd           1/2 mean_c |D_T + D_F|            eodd_tnr       mean_c |D_T - D_F|
//   eodd_mean      mean_c (|D_T| + |D_F|) / 2        eodd_max       mean_c max(|D_T|, |D_F|)
//   eopp1_present  eopp1 over the classes with truth in both groups
//   dp             sum_c |P(yhat = c | 0) - P(yhat = c | 1)|
//   eodd_confusion mean_c 1/2 sum_j |P(yhat = j | y = c, 0) - P(yhat = j | y = c, 1)|: the share of a class's cases that
//                  are predicted otherwise in one group than in the other. It sees what eodd_ keys, which look at one
//                  class against the rest, do not: a melanoma called a naevus in one group and a keratosis in the other.
//                  Ours; Sabato et al. (ICML 2025, arXiv 2206.03234) take the share that departs from the best common
//                  baseline instead. At most Layout::kMostConfused classes
//   sensitivity    |difference| of the metric; with --positive alone
//   accuracy, balanced_accuracy, macro_f1, ece      |difference|
//   macro_auc              |mean_c (AUC_0 - AUC_1)| over the classes with truth and others in both groups
//   accuracy_standardised  |sum_c w_c D_T|, w_c the share of class c among the cases of all groups compared, over the
//                          classes with truth in each of them: the accuracy gap that a case mix does not move
//
// eopp0, eopp1, eodd and dp equal the `_abs` figures of the released code of Kong et al. to the last digit, with
// its oddities: a rate 0/0 counts as 0 (so does TNR), and c runs up to the highest label or prediction seen, so a class
// that is absent from one group counts the other's full TPR. `absent` says how many there are. They describe and
// decide nothing. All other keys run over the classes with truth, and others, in both groups.
//
// Over all groups, 1 (nar: 0) being fair; of classes with truth in each group, one with 0/0 is left out:
//
//   pqd   min_g / max_g accuracy                     nar   (max - min) / mean of the groups' accuracies
//   dpm   mean_c min_g / max_g P(yhat = c | g)       eom   mean_c min_g / max_g TPR_c
//
// Other libraries use these names for other figures: kGapConventions.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "engine/fairness/metrics.h"

namespace fp {

// A legend for every table of these keys.
inline const char* const kGapConventions =
    "dp sums over classes: with two classes it is twice Fairlearn's demographic_parity_difference. eopp0 and eopp1 are "
    "means over classes, of TNR and of TPR gaps: Fairlearn's equal_opportunity_difference is the TPR gap of one class. "
    "Beyond two groups each key is that of its worst pair, so eodd_mean is not Fairlearn's agg=\"mean\", which adds "
    "the "
    "TPR range of one pair to the FPR range of another, and is at most that.";

// The figures of a row, by group; `seen` = 1 + the highest label or prediction among the cases compared.
struct GroupFigures {
    Layout layout;
    int seen = 0;
    const double* row = nullptr;
    std::span<const double> share = {};  // of each class in the cases compared; 0 without truth in one of the groups

    double metric(int g, int m) const { return row[layout.metric(g, m)]; }
    double tpr(int g, int c) const { return row[layout.tpr(g, c)]; }
    double fpr(int g, int c) const { return row[layout.fpr(g, c)]; }
    double selected(int g, int c) const { return row[layout.selected(g, c)]; }
    double auc(int g, int c) const { return row[layout.auc(g, c)]; }
    double confused(int g, int truth, int pred) const { return row[layout.confused(g, truth, pred)]; }
};

// A signed gap of class c: tpr * D_T + fpr * D_F + selected * D_S, D_S = P(yhat = c | 0) - P(yhat = c | 1).
struct Combination {
    double tpr = 0, fpr = 0, selected = 0;

    bool empty() const { return tpr == 0 && fpr == 0 && selected == 0; }
    // NaN where a rate that takes part is 0/0.
    double of(const GroupFigures&, int a, int b, int c) const;
};

// The classes that a key runs over: up to the highest label or prediction seen, or those with truth, and others, in
// both groups.
enum class ClassRange { seen, present };

// A gap is made of one of three: a term per class, one signed difference of two groups, or a function of all groups.
struct GapDefinition {
    const char *key, *formula;
    ClassRange span = ClassRange::present;
    double (*term)(const GroupFigures&, int a, int b, int c) = nullptr;  // NaN: the class is left out of the mean
    // The signed gaps behind the absolute ones: these combinations of every class. The maximum of two has no unbiased
    // square, so no rms.
    std::array<Combination, 2> parts = {};
    bool maximum = false, sum = false;  // sum: the terms' sum instead of their mean
    double (*difference)(const GroupFigures&, int a, int b) = nullptr;
    bool needs_probabilities = false;
    double fair = 0;  // the value of a fair classifier
    double (*all)(const GroupFigures&, std::span<const int> groups) = nullptr;

    // The value for two groups; not for a function of all groups.
    double pair(const GroupFigures&, int a, int b) const;
    // Of more than two groups, the largest value over pairs. NaN where it is not estimable for any pair.
    double value(const GroupFigures&, std::span<const int> groups) const;
    int classes(const GroupFigures& f) const { return span == ClassRange::seen ? f.seen : f.layout.classes; }
};
std::span<const GapDefinition> gap_definitions();
// Not the sensitivity gap where no class is asked for.
bool is_wanted(const GapDefinition&, const OperatingPoint&);
// Whether a key is one of the released code: 0/0 counts as 0 there.
bool as_released(std::string_view key);

// How many classes a class-wise key runs over for the groups a and b, and how many more (ClassRange::seen: of them)
// have a rate 0/0 in either.
struct ClassCount {
    int classes, absent;
};
ClassCount count_classes(const GapDefinition&, const GroupFigures&, int a, int b);

// The largest value over pairs of the listed groups, with its pair, and the mean over pairs. NaN where the key
// is not estimable for any pair.
struct PairValue {
    double value, mean;
    int a, b;
};
PairValue worst_pair(const GapDefinition&, const GroupFigures&, std::span<const int> groups);

}  // namespace fp
