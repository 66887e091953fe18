// What the figures of one model, or of two models on the same images, allow one to say: nothing that fell, and no gap
// beyond its fair range, is left out. Its text is made here (verdict_words.h) once; reports, tables and cards print it.
//
// A loss is named where its own p or its interval shows it, and whether it holds after Holm's correction is said: the
// correction guards against claims of a change, and would hide harm. An improvement is named only after correction.
// The words go no further than docs/method.md, section 12: a verdict is about two networks and not about a method,
// and a gap that is smaller is called smaller, not fairer.
#pragma once

#include "engine/fairness/compare.h"

namespace fp {

// The metrics that a verdict always speaks of, and in which a group may have lost.
inline constexpr Metric kHeadline[] = {kAccuracy, kBalancedAccuracy, kMacroF1, kMacroAuc};

enum class FindingKind {
    seen_in_training,  // images judged: their figures are too good (engine/report/evaluation.h adds it)
    // what was lost
    fell,           // a headline metric
    group_fell,     // a metric of a group that takes part in gaps: its interval lies below 0
    levelled_down,  // a gap shrank, and the group that was better lost more than the others won
    gap,            // a gap of the model lies beyond its fair range
    gap_grew,
    at_chance,  // balanced accuracy is near 1 / (classes with truth): such a model treats all groups alike
    // what was won
    gap_shrank,
    rose,  // a headline metric
    // what cannot be told
    unchanged,       // a headline metric without evidence of a change; `low` says which loss is not excluded
    not_judged,      // a metric that is not estimable; groups that are in no gap
    classes_absent,  // classes of which no image is judged
    few_resamples    // so few that no p can hold after correction
};
const char* name(FindingKind);
// Its text stands in the summary as it is.
constexpr bool in_summary(FindingKind kind) {
    return kind == FindingKind::seen_in_training || kind == FindingKind::at_chance ||
           kind == FindingKind::classes_absent || kind == FindingKind::few_resamples;
}

struct Finding {
    FindingKind kind;
    std::string metric = {};     // the key of a metric or a gap
    std::string attribute = {};  // empty: overall
    std::string group = {};
    std::string text = {};
    // |change| of a metric or a gap; how far a gap lies beyond its fair range; the loss that is not excluded; the share
    // of the samples that is not judged.
    double size = 0;
    bool case_mix = false;  // of a gap: its fair range is that of groups drawn at random, of any diagnoses
    double before = kNotEstimable, after = kNotEstimable;  // of the other model, of this one
    double change = kNotEstimable, low = kNotEstimable, high = kNotEstimable;
    double fair_low = kNotEstimable, fair_high = kNotEstimable;
    double p = kNotEstimable, p_holm = kNotEstimable;
};

struct Verdict {
    std::string summary;
    std::vector<Finding> findings;  // losses, gains, what cannot be told; each by falling size
};

// `comparison` (null: none) is that of the model of `report` with another one on the same images.
Verdict verdict_of(const Report& report, const Comparison* comparison);

}  // namespace fp
