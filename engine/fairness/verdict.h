// What the figures of one model, or of two models on the same images, allow one to say. Its text is made here
// (verdict_words.h) once; reports, tables and cards print it.
//
// One gap of each attribute decides, the primary one, after Holm's correction over the attributes; the other gaps are
// listed where they lie beyond their fair ranges, not corrected, and decide nothing. A loss of accuracy is judged by
// its interval against a margin and is never corrected: that would hide harm. What the figures do not exclude is said.
// The words go no further than docs/method.md, section 12: a verdict is about two networks of one training each and
// not about a method, and a gap that is smaller is called smaller, not fairer.
#pragma once

#include "engine/fairness/compare.h"

namespace fp {

// The metrics that a verdict always speaks of, and in which a group may have lost.
inline constexpr Metric kHeadline[] = {kAccuracy, kBalancedAccuracy, kMacroF1, kMacroAuc};

enum class FindingKind {
    seen_in_training,  // images judged: their figures are too good (engine/report/evaluation.h adds it)
    // what was lost
    fell,           // a headline metric: its interval lies below 0
    group_fell,     // the same of a group that takes part in gaps
    levelled_down,  // the primary gap shrank, before correction, and the group that was best lost
    gap,            // the primary gap lies beyond its fair range, after correction
    gap_grew,       // the primary gap, before correction
    at_chance,      // balanced accuracy is near 1 / (classes with truth): such a model treats all groups alike
    // what was won
    gap_shrank,  // the primary gap, after correction
    rose,        // a headline metric: its interval lies above 0
    not_worse,   // a headline metric, by more than the margin
    // what cannot be told
    loss_not_excluded,        // of a headline metric: `size` says which loss
    group_loss_not_excluded,  // the same of groups; the largest one
    gap_uncorrected,          // the primary gap lies beyond its fair range, before correction alone
    gap_unchanged,            // no difference of the primary gap was detected
    gaps_described,           // other gaps beyond their fair ranges
    not_judged,               // a metric or a gap that is not estimable; groups that are in no gap
    classes_absent,           // classes of which no image is judged
    few_resamples             // so few that no p can hold after correction
};
const char* name(FindingKind);
// Its text stands in the summary as it is.
constexpr bool in_summary(FindingKind kind) {
    return kind == FindingKind::seen_in_training || kind == FindingKind::at_chance ||
           kind == FindingKind::classes_absent || kind == FindingKind::few_resamples;
}

// Of a primary gap the figures are root mean squares, but change, low and high are of the difference of squares.
struct Finding {
    FindingKind kind;
    std::string metric = {};     // the key of a metric or a gap
    std::string attribute = {};  // empty: overall
    std::string group = {};
    std::string text = {};
    // |change| of a metric or a gap; how far a gap lies beyond its fair range; the loss that is not excluded; the share
    // of the samples that is not judged.
    double size = 0;
    double before = kNotEstimable, after = kNotEstimable;  // of the other model, of this one
    double change = kNotEstimable, low = kNotEstimable, high = kNotEstimable;
    double fair_high = kNotEstimable;
    double p = kNotEstimable, p_holm = kNotEstimable;
};

struct Verdict {
    std::string summary;
    std::vector<Finding> findings;  // losses, gains, what cannot be told; each by falling size
};

// `comparison` (null: none) is that of the model of `report` with another one on the same images.
Verdict verdict_of(const Report& report, const Comparison* comparison);

}  // namespace fp
