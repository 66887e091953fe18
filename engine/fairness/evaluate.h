// From predictions to a report: metrics overall and per group, gaps between groups, and what may be said of them.
//
//   Report r = evaluate(predictions, {"sex", "sex*age:60"}, options);
//   r.metric("accuracy").value     r.attribute("sex").gap("eodd").p     to_json(r)     to_text(r)
//
// Intervals: percentile bootstrap; of ece, which is a sum of absolute values, the rule of absolute gaps
// (intervals.h), since its percentile interval misses a small truth nearly always.
//
// With `resamples` 0 only values are computed, which costs about one pass over the predictions.
#pragma once

#include "engine/fairness/intervals.h"
#include "engine/fairness/metrics.h"

namespace fp {

struct EvaluateOptions {
    int resamples = 2000;  // bootstrap resamples and permutations; 0: values alone
    double confidence = 0.95;
    // In images. Smaller groups are shown, but left out of gaps and worst group.
    int min_group_size = 10;
    std::string positive = {};  // class whose sensitivity at `specificity` is reported; empty: none
    double specificity = 0.8;
    uint64_t seed = 1;
    int threads = 0;  // 0: all cores. The figures do not depend on it
};

// A gap of some kind between groups, beside what a classifier that treats the groups alike would show.
struct Gap : TestedMeasure {
    double fair_low = kNotEstimable, fair_high = kNotEstimable;
    std::string null;  // what was permuted: "within diagnosis" or "over all"
    double rms = kNotEstimable, rms_low = kNotEstimable, rms_high = kNotEstimable;
    int rms_classes = 0;               // classes whose noise is known
    Measure signed_gap;                // of a metric: group 0 minus group 1
    std::string group_a, group_b;      // the worst pair, in the order of the signed gap
    double mean_pair = kNotEstimable;  // mean over all pairs
    int classes = 0, absent = 0;       // classes in the mean; of these without truth in a group
};

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

    const Measure& metric(std::string_view key) const;
};

// The group that does worst by one metric.
struct WorstGroup {
    Measure measure;  // of that group
    std::string group;
    int64_t samples = 0;
    double stays_worst = kNotEstimable;  // share of resamples in which it is again the worst
};

struct AttributeReport {
    std::string name;
    std::vector<GroupReport> groups;
    std::vector<Gap> gaps;
    std::string no_gaps;  // why there are none: fewer than two groups are large enough
    std::vector<WorstGroup> worst;
    int64_t unknown = 0;              // samples whose group is not known
    int groups_left_out = 0;          // groups below the smallest size
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

// The values alone, without intervals: what an epoch or a round of pruning is recorded by.
struct Figure {
    std::string key;
    double value = 0;  // NaN: not estimable
};

struct GroupSummary {
    std::string name;
    int64_t samples = 0;
    std::vector<Figure> metrics;
};

struct AttributeSummary {
    std::string name;  // as --attribute spells it
    std::vector<GroupSummary> groups;
    std::vector<Figure> gaps;  // none where fewer than two groups are large enough

    double gap(std::string_view key) const;  // NaN where there is none
};

struct Summary {
    int64_t samples = 0;
    double loss = 0;                   // mean cross entropy; NaN without probabilities
    std::vector<Figure> metrics = {};  // in the order of Report::metrics
    std::vector<AttributeSummary> attributes = {};

    double metric(std::string_view key) const;                       // an Error for an unknown key
    const AttributeSummary* attribute(std::string_view name) const;  // null where there is none
};

Summary summarize(const Predictions&, const std::vector<std::string>& attributes);

}  // namespace fp
