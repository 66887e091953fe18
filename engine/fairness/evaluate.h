// From predictions to a report: metrics overall and per group, and gaps between groups, with intervals and tests.
//
//   Report r = evaluate(predictions, {"sex", "sex*age:60"}, options);
//   r.metric("accuracy").value     r.attribute("sex").gap("eodd").p     to_json(r)     to_text(r)
//
// Intervals of metrics are those of metric_intervals.h.
//
// With `resamples` 0 only values are computed, in about one pass over the predictions.
#pragma once

#include <functional>

#include "engine/fairness/calibration.h"
#include "engine/fairness/intervals.h"
#include "engine/fairness/metrics.h"

namespace fp {

struct EvaluateOptions {
    int resamples = 2000;  // bootstrap resamples, and permutations; 0: values only
    double confidence = 0.95;
    // In units (lesions). Smaller groups are reported, but left out of gaps and of the worst group.
    int min_group_size = 10;
    std::string positive = {};  // the class whose sensitivity at `specificity` is reported; empty: none
    double specificity = 0.8;
    // A loss of accuracy, balanced accuracy, macro-F1 or macro-AUC up to this much counts as none (Comparison).
    double margin = 0.02;
    uint64_t seed = 1;
    int threads = 0;  // 0: all cores. The results do not depend on it
    // Called by the calling thread several times per second with the resamples, permutations and swaps that are done;
    // what it throws ends the evaluation. Not part of the report's options.
    std::function<void(int64_t done, int64_t all)> progress = {};
};

// Options whose progress counts on over at most so many passes of `resamples`; the end of them all.
EvaluateOptions over_passes(const EvaluateOptions&, int64_t most);
void end_passes(const EvaluateOptions&, int64_t most);

// How groups are permuted for every fair range: the diagnosis of each unit stays, so that a classifier which depends on
// the diagnosis alone stays within the range, whatever the groups' case mix.
inline const char* const kPermuted = "within diagnosis";

// A gap between groups, with its fair range: the values that a classifier which treats the groups alike would show. It
// describes: p is not corrected, and no verdict rests on it (PrimaryGap).
struct Gap : TestedMeasure {
    double fair_low = kNotEstimable, fair_high = kNotEstimable;
    double rms = kNotEstimable, rms_low = kNotEstimable, rms_high = kNotEstimable;
    int rms_classes = 0;               // classes in the mean of rms (RmsGap)
    Measure signed_gap;                // of a difference of two figures: group_a minus group_b
    std::string group_a, group_b;      // the worst pair, in the order of the signed gap
    double mean_pair = kNotEstimable;  // mean over all pairs
    int classes = 0, absent = 0;       // classes in the mean; those without truth in a group (ClassCount)

    // Whether it lies on the unfair side of its fair range. The other side is that of a gap smaller than the case mix
    // alone would give, which nobody suffers from.
    bool beyond_fair() const { return fair == 0 ? value > fair_high : value < fair_low; }
};

// The one gap of an attribute that a verdict rests on: of equalized odds, over all classes and all pairs of groups
// (engine/fairness/primary_gap.h). `p_holm` is corrected over the attributes of a report.
struct PrimaryGap {
    double rms = kNotEstimable, low = kNotEstimable, high = kNotEstimable;
    double rms_squared = kNotEstimable;  // nearly unbiased, so it may be negative, and rms is 0 then
    double fair_high = kNotEstimable;    // a classifier that treats the groups alike lies above in 5 % (1 - confidence)
    double p = kNotEstimable, p_holm = kNotEstimable;
    int classes = 0, pairs = 0;  // that take part
    std::string reason, verdict;
};
inline const char* const kPrimaryKey = "eodd_rms";
// Tables of many models show this gap beside the primary one. Nothing is chosen, tested or called smaller by it.
inline const char* const kShownGap = "eodd_mean";

struct ClassFigures {
    int64_t positives = 0, predicted = 0;
    Measure tpr, fpr, selected;
};

struct GroupReport {
    std::string name;
    int64_t samples = 0, units = 0;
    bool in_gaps = true;
    std::string reason;  // why it is left out of gaps
    std::vector<Measure> metrics;
    std::vector<ClassFigures> classes;
    Confusion confusion;
    Calibration calibration = {};

    const Measure& metric(std::string_view key) const;
};

// The group with the worst value of one metric.
struct WorstGroup {
    Measure measure;  // its value; the interval of the worst of all groups, whichever that is
    std::string group;
    int64_t samples = 0;
    double stays_worst = kNotEstimable;  // the share of resamples in which it is the worst, too
};

struct AttributeReport {
    std::string name;
    std::vector<GroupReport> groups;
    PrimaryGap primary;
    std::vector<Gap> gaps;
    std::string no_gaps;  // the reason where fewer than two groups are large enough for gaps
    std::vector<WorstGroup> worst;
    CalibrationGap calibration = {};
    int64_t unknown = 0;              // samples whose group is not known
    int groups_left_out = 0;          // groups below min_group_size
    int64_t samples_left_out = 0;     // in them
    int64_t units_in_two_groups = 0;  // resampled with the group of their first image

    const GroupReport& group(std::string_view name) const;
    const Gap& gap(std::string_view key) const;
};

struct Report {
    int64_t samples = 0, units = 0;
    std::string unit;  // what is resampled whole: lesion_id, patient_id or image
    std::vector<std::string> classes;
    std::vector<Measure> metrics;
    std::vector<ClassFigures> class_figures;
    Confusion confusion;
    std::vector<AttributeReport> attributes;
    EvaluateOptions options;

    const Measure& metric(std::string_view key) const;
    const AttributeReport& attribute(std::string_view name) const;
};

// `attributes` are names of columns, cuts and crossings as in "sex", "age:60", "sex*age:60".
Report evaluate(const Predictions& predictions,
                const std::vector<std::string>& attributes,
                const EvaluateOptions& options = {});

// The values without intervals: the record of an epoch or of a round of pruning. Read from a file, groups have their
// name, samples and metrics, and gaps their key and value.
struct Summary {
    int64_t samples = 0;
    double loss = 0;                               // mean cross entropy; NaN without probabilities
    std::vector<Measure> metrics = {};             // in the order of Report::metrics
    std::vector<AttributeReport> attributes = {};  // name: as --attribute spells it

    double metric(std::string_view key) const;
};

Summary summarize(const Predictions&, const std::vector<std::string>& attributes);

}  // namespace fp
