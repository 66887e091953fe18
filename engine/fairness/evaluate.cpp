#include "engine/fairness/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "engine/fairness/metric_intervals.h"
#include "engine/fairness/primary_gap.h"
#include "engine/io/words.h"
#include "kernels/error.h"

namespace fp {
namespace {

// The element whose `name` equals `wanted`.
template <class T, class Name>
const T& get(const std::vector<T>& all, Name name, std::string_view wanted, const char* what) {
    const auto found = std::ranges::find(all, wanted, name);
    FP_CHECK(found != all.end(), "there is no ", what, " ", wanted);
    return *found;
}

std::vector<Measure> metrics_of(
    const Scored& scored, const MetricIntervals& intervals, const Scorer& scorer, int group, int64_t samples) {
    std::vector<Measure> metrics;
    for (int m = 0; m < kMetrics; ++m) {
        if (m == kSensitivity && scorer.point().positive < 0) continue;
        const MetricDefinition& definition = kMetricDefinitions[m];
        Measure measure{
            .key = definition.key, .formula = definition.formula, .value = scored.seen.figures(0).metric(group, m)};
        if (!std::isnan(measure.value))
            measure.set(intervals.of(group, m));
        else
            measure.reason = definition.needs_probabilities && !scorer.has_probabilities()
                                 ? kNoProbabilities
                                 : fmt::format("n={}, positives or negatives are missing", samples);
        metrics.push_back(std::move(measure));
    }
    return metrics;
}

std::vector<ClassFigures> classes_of(const Scored& scored,
                                     const MetricIntervals& intervals,
                                     int group,
                                     const Tally& tally) {
    std::vector<ClassFigures> out;
    const Layout& layout = scored.seen.layout;
    for (int c = 0; c < layout.classes; ++c) {
        ClassFigures f{.positives = tally.truth[c],
                       .predicted = tally.predicted[c],
                       .tpr = scored.measure("tpr", "TP/(TP+FN)", layout.tpr(group, c)),
                       .fpr = scored.measure("fpr", "FP/(FP+TN)", layout.fpr(group, c)),
                       .selected = scored.measure("selected", "(TP+FP)/n", layout.selected(group, c))};
        intervals.set_rates(f, group, c);
        if (std::isnan(f.tpr.value)) f.tpr.reason = fmt::format("n={}, 0 positive", tally.n);
        if (std::isnan(f.fpr.value)) f.fpr.reason = fmt::format("n={}, 0 negative", tally.n);
        out.push_back(std::move(f));
    }
    return out;
}

std::vector<GroupReport> groups_of(const Predictions& p,
                                   const Cohort& cohort,
                                   const Scored& scored,
                                   const MetricIntervals& intervals,
                                   const Scorer& scorer) {
    std::vector<GroupReport> groups;
    for (int g = 0; g < cohort.size(); ++g) {
        GroupReport& report = groups.emplace_back();
        report.name = cohort.groups[g];
        report.confusion = confusion(p, cohort.group_of_case, g);
        const Tally counts = tally(report.confusion);
        report.samples = counts.n;
        report.units = cohort.units_of_group[g];
        report.in_gaps = cohort.is_compared(g);
        if (!report.in_gaps)
            report.reason = cohort.is_unknown(g) ? "the group is not known"
                                                 : fmt::format("{}, smallest group for gaps is {}",
                                                               counted(report.units, "unit"), cohort.min_group_size);
        report.metrics = metrics_of(scored, intervals, scorer, g, counts.n);
        report.classes = classes_of(scored, intervals, g, counts);
        report.calibration = calibration_of(p, cohort.group_of_case, g);
    }
    return groups;
}

// The compared group with the worst value of a metric in one row; -1 where no value is estimable.
int worst_group(const GroupFigures& figures, const std::vector<int>& groups, int metric) {
    int worst = -1;
    for (int g : groups) {
        const double v = figures.metric(g, metric);
        if (std::isnan(v)) continue;
        const double seen = worst < 0 ? 0 : figures.metric(worst, metric);
        if (worst < 0 || (kMetricDefinitions[metric].lower_is_better ? v > seen : v < seen)) worst = g;
    }
    return worst;
}

std::vector<WorstGroup> worst_groups(const Cohort& cohort,
                                     const Scored& scored,
                                     const MetricIntervals& intervals,
                                     const std::vector<GroupReport>& groups) {
    std::vector<WorstGroup> out;
    for (int m = 0; m < kMetrics; ++m) {
        const int worst = worst_group(scored.seen.figures(0), cohort.compared, m);
        if (worst < 0) continue;
        const GroupReport& group = groups[worst];
        int64_t again = 0;
        for (int64_t r = 0; r < scored.resampled.count; ++r)
            again += worst_group(scored.resampled.figures(r), cohort.compared, m) == worst;
        WorstGroup& found = out.emplace_back();
        found.measure = group.metric(kMetricDefinitions[m].key);
        found.measure.set(intervals.worst_of(cohort.compared, m));
        found.group = group.name;
        found.samples = group.samples;
        found.stays_worst = ratio(double(again), double(scored.resampled.count));
    }
    return out;
}

AttributeReport evaluate_attribute(const Predictions& p,
                                   const Scorer& scorer,
                                   const std::string& attribute,
                                   const EvaluateOptions& options) {
    const Cohort cohort = by_attribute(p, attribute, options.min_group_size);
    const Scored scored = score_cohort(scorer, cohort, options);
    const MetricIntervals intervals(p, cohort, scored, options);

    AttributeReport report;
    report.name = attribute;
    report.groups = groups_of(p, cohort, scored, intervals, scorer);
    report.units_in_two_groups = cohort.units_in_two_groups;
    for (int g = 0; g < cohort.size(); ++g) {
        if (cohort.is_compared(g)) continue;
        const int64_t n = report.groups[g].samples;
        if (cohort.is_unknown(g)) {
            report.unknown = n;
        } else {
            ++report.groups_left_out;
            report.samples_left_out += n;
        }
    }
    report.worst = worst_groups(cohort, scored, intervals, report.groups);
    report.no_gaps = cohort.why_no_gaps();
    if (!report.no_gaps.empty()) return report;
    const FigureRows permuted = permute_groups(scorer, cohort, options);
    report.primary = primary_gap(cohort, scored, permuted);
    report.gaps = gaps_of(scorer, cohort, scored, permuted);
    report.calibration = calibration_gap(p, cohort, options);
    return report;
}

}  // namespace

const Measure& GroupReport::metric(std::string_view key) const { return get(metrics, &Measure::key, key, "metric"); }
const Gap& AttributeReport::gap(std::string_view key) const { return get(gaps, &Gap::key, key, "gap"); }
const Measure& Report::metric(std::string_view key) const { return get(metrics, &Measure::key, key, "metric"); }
const GroupReport& AttributeReport::group(std::string_view key) const {
    return get(groups, &GroupReport::name, key, "group");
}
const AttributeReport& Report::attribute(std::string_view key) const {
    return get(attributes, &AttributeReport::name, key, "attribute");
}

EvaluateOptions over_passes(const EvaluateOptions& options, int64_t most) {
    EvaluateOptions out = options;
    if (!options.progress || options.resamples == 0) return out;
    const auto done_before = std::make_shared<int64_t>(0);
    out.progress = [to = options.progress, most, done_before](int64_t done, int64_t all) {
        to(std::min(*done_before + done, most * all - 1), most * all);
        if (done == all) *done_before += all;
    };
    return out;
}

void end_passes(const EvaluateOptions& options, int64_t most) {
    const int64_t all = most * options.resamples;
    if (options.progress && all > 0) options.progress(all, all);
}

Report evaluate(const Predictions& p, const std::vector<std::string>& attributes, const EvaluateOptions& given) {
    FP_CHECK(p.size() > 0, "no predictions");
    // Of each attribute a bootstrap and permutations.
    const int64_t passes = 1 + 2 * int64_t(attributes.size());
    const EvaluateOptions options = over_passes(given, passes);
    const Scorer scorer(p, operating_point(p.classes, options.positive, options.specificity));
    const Cohort all = whole(p);
    const Scored scored = score_cohort(scorer, all, options);
    const MetricIntervals intervals(p, all, scored, options);

    Report report;
    report.samples = p.size();
    report.units = all.units();
    report.unit = unit_names(p);
    report.classes = p.classes;
    report.options = options;
    report.options.progress = {};
    report.confusion = confusion(p);
    report.metrics = metrics_of(scored, intervals, scorer, 0, p.size());
    report.class_figures = classes_of(scored, intervals, 0, tally(report.confusion));
    for (const auto& attribute : attributes)
        report.attributes.push_back(evaluate_attribute(p, scorer, attribute, options));
    std::vector<PrimaryGap*> family;
    for (auto& a : report.attributes) family.push_back(&a.primary);
    set_verdicts(family, options);
    end_passes(given, passes);
    return report;
}

double Summary::metric(std::string_view key) const { return get(metrics, &Measure::key, key, "metric").value; }

Summary summarize(const Predictions& p, const std::vector<std::string>& attributes) {
    Report report = evaluate(p, attributes, {.resamples = 0});
    return {.samples = report.samples,
            .loss = mean_loss(p),
            .metrics = std::move(report.metrics),
            .attributes = std::move(report.attributes)};
}

}  // namespace fp
