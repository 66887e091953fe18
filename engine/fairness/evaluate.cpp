#include "engine/fairness/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "engine/fairness/bootstrap.h"
#include "engine/fairness/gap_report.h"
#include "kernels/error.h"

namespace fp {
namespace {

template <class Entries>
auto& find(Entries& entries, std::string_view key, const char* what) {
    for (auto& e : entries)
        if (e.key == key) return e;
    fail("the report has no ", what, " ", key);
}

std::vector<Measure> metrics_of(const Scored& scored, const Scorer& scorer, int group, int64_t samples) {
    std::vector<Measure> metrics;
    for (int m = 0; m < kMetrics; ++m) {
        if (m == kSensitivity && scorer.point().positive < 0) continue;
        const MetricDefinition& definition = kMetricDefinitions[m];
        Measure measure = scored.measure(definition.key, definition.formula, scored.seen.layout.metric(group, m),
                                         definition.absolute);
        if (std::isnan(measure.value))
            measure.reason = definition.needs_probabilities && !scorer.has_probabilities()
                                 ? kNoProbabilities
                                 : fmt::format("n={}, positives or negatives are missing", samples);
        metrics.push_back(std::move(measure));
    }
    return metrics;
}

std::vector<ClassFigures> classes_of(const Scored& scored, int group, const Tally& tally) {
    std::vector<ClassFigures> out;
    const Layout& layout = scored.seen.layout;
    for (int c = 0; c < layout.classes; ++c) {
        ClassFigures f{.positives = tally.truth[c],
                       .predicted = tally.predicted[c],
                       .tpr = scored.measure("tpr", "TP/(TP+FN)", layout.tpr(group, c)),
                       .fpr = scored.measure("fpr", "FP/(FP+TN)", layout.fpr(group, c)),
                       .selected = scored.measure("selected", "(TP+FP)/n", layout.selected(group, c))};
        if (std::isnan(f.tpr.value)) f.tpr.reason = fmt::format("n={}, 0 positive", tally.n);
        if (std::isnan(f.fpr.value)) f.fpr.reason = fmt::format("n={}, 0 negative", tally.n);
        out.push_back(std::move(f));
    }
    return out;
}

std::vector<GroupReport> groups_of(
    const Predictions& p, const Cohort& cohort, const Scored& scored, const Scorer& scorer, int min_group_size) {
    std::vector<std::set<int>> units(cohort.size());
    for (int64_t i = 0; i < cohort.cases(); ++i) units[cohort.group_of_case[i]].insert(cohort.units.of_case[i]);

    std::vector<GroupReport> groups;
    for (int g = 0; g < cohort.size(); ++g) {
        GroupReport report;
        report.name = cohort.groups[g];
        report.confusion = confusion(p.label, p.pred, int(p.classes.size()), cohort.group_of_case, g);
        const Tally counts = tally(report.confusion);
        report.samples = counts.n;
        report.units = int64_t(units[g].size());
        report.in_gaps = cohort.is_compared(g);
        if (!report.in_gaps)
            report.reason = cohort.is_unknown(g)
                                ? "unknown"
                                : fmt::format("n={}, smallest group for gaps is {}", counts.n, min_group_size);
        report.metrics = metrics_of(scored, scorer, g, counts.n);
        report.classes = classes_of(scored, g, counts);
        groups.push_back(std::move(report));
    }
    return groups;
}

// The compared group that is worst by a metric in one row; -1 where none is estimable.
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
                                     const std::vector<GroupReport>& groups) {
    std::vector<WorstGroup> out;
    for (int m = 0; m < kMetrics; ++m) {
        const int worst = worst_group(scored.seen.figures(0), cohort.compared, m);
        if (worst < 0) continue;
        const GroupReport& group = groups[worst];
        int64_t again = 0;
        for (int64_t r = 0; r < scored.resampled.count; ++r)
            again += worst_group(scored.resampled.figures(r), cohort.compared, m) == worst;
        out.push_back({.measure = group.metric(kMetricDefinitions[m].key),
                       .group = group.name,
                       .samples = group.samples,
                       .stays_worst = ratio(double(again), double(scored.resampled.count))});
    }
    return out;
}

AttributeReport evaluate_attribute(const Predictions& p,
                                   const Scorer& scorer,
                                   const std::string& attribute,
                                   const EvaluateOptions& options) {
    const Cohort cohort = by_attribute(p, attribute, options.min_group_size);
    const Plan plan{.count = options.resamples, .seed = options.seed, .threads = options.threads};
    const Scored scored{.seen = observed(scorer, cohort),
                        .resampled = bootstrap(scorer, cohort, plan),
                        .confidence = options.confidence};

    AttributeReport report;
    report.name = attribute;
    report.groups = groups_of(p, cohort, scored, scorer, options.min_group_size);
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
    report.worst = worst_groups(cohort, scored, report.groups);
    report.no_gaps = cohort.why_no_gaps();
    if (report.no_gaps.empty()) report.gaps = gaps_of(p, scorer, cohort, scored, plan);
    return report;
}

}  // namespace

const Measure& GroupReport::metric(std::string_view key) const { return find(metrics, key, "metric"); }
const Gap& AttributeReport::gap(std::string_view key) const { return find(gaps, key, "gap"); }
const Measure& Report::metric(std::string_view key) const { return find(metrics, key, "metric"); }
const GroupReport& AttributeReport::group(std::string_view key) const {
    for (const auto& g : groups)
        if (g.name == key) return g;
    fail(name, " has no group ", key);
}
const AttributeReport& Report::attribute(std::string_view key) const {
    for (const auto& a : attributes)
        if (a.name == key) return a;
    fail("the report has no attribute ", key);
}

Report evaluate(const Predictions& p, const std::vector<std::string>& attributes, const EvaluateOptions& options) {
    FP_CHECK(p.size() > 0, "no predictions");
    const Scorer scorer(p, operating_point(p, options.positive, options.specificity));
    const Cohort all = whole(p);
    const Scored scored{.seen = observed(scorer, all),
                        .resampled = bootstrap(scorer, all, {options.resamples, options.seed, options.threads}),
                        .confidence = options.confidence};

    Report report;
    report.samples = p.size();
    report.units = all.units.count();
    report.unit = unit_column(p.columns);
    report.classes = p.classes;
    report.options = options;
    report.confusion = confusion(p.label, p.pred, int(p.classes.size()));
    report.metrics = metrics_of(scored, scorer, 0, p.size());
    report.class_figures = classes_of(scored, 0, tally(report.confusion));
    for (const auto& attribute : attributes)
        report.attributes.push_back(evaluate_attribute(p, scorer, attribute, options));
    std::vector<Gap*> table;
    for (auto& a : report.attributes)
        for (Gap& g : a.gaps) table.push_back(&g);
    correct_and_say(table, 1 - options.confidence);
    return report;
}

}  // namespace fp
