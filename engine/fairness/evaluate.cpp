#include "engine/fairness/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "engine/fairness/bootstrap.h"
#include "engine/fairness/intervals.h"
#include "engine/fairness/rms_gap.h"
#include "kernels/error.h"

namespace fp {
namespace {

const char* const kNoProbabilities = "no probabilities in the predictions";
const char* const kNoResamples = "no resamples were asked for";

template <class Entries>
auto& find(Entries& entries, std::string_view key, const char* what) {
    for (auto& e : entries)
        if (e.key == key) return e;
    fail("the report has no ", what, " ", key);
}

// One cohort scored: the cases as they are, and resampled.
struct Scored {
    FigureRows seen, resampled;
    double confidence;

    // The figure in one column of the rows, with its percentile interval.
    Measure measure(std::string key, std::string formula, int column) const {
        Measure m{.key = std::move(key), .formula = std::move(formula), .reason = ""};
        m.value = seen.row(0)[column];
        if (std::isnan(m.value)) return m;
        Interval i = percentile_interval(resampled.column(column), confidence);
        m.low = i.low;
        m.high = i.high;
        m.reason = std::move(i.reason);
        return m;
    }
};

std::vector<Measure> metrics_of(const Scored& scored,
                                const Scorer& scorer,
                                int group,
                                int64_t samples) {
    std::vector<Measure> metrics;
    for (int m = 0; m < kMetrics; ++m) {
        if (m == kSensitivity && scorer.point().positive < 0) continue;
        const MetricDefinition& definition = kMetricDefinitions[m];
        Measure measure =
            scored.measure(definition.key, definition.formula, scored.seen.layout.metric(group, m));
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
        ClassFigures f{
            .positives = tally.truth[c],
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

std::vector<GroupReport> groups_of(const Predictions& p,
                                   const Cohort& cohort,
                                   const Scored& scored,
                                   const Scorer& scorer,
                                   int min_group_size) {
    std::vector<std::set<int>> units(cohort.size());
    for (int64_t i = 0; i < cohort.cases(); ++i)
        units[cohort.group_of_case[i]].insert(cohort.units.of_case[i]);

    std::vector<GroupReport> groups;
    for (int g = 0; g < cohort.size(); ++g) {
        GroupReport report;
        report.name = cohort.groups[g];
        report.confusion =
            confusion(p.label, p.pred, int(p.classes.size()), cohort.group_of_case, g);
        const Tally counts = tally(report.confusion);
        report.samples = counts.n;
        report.units = int64_t(units[g].size());
        report.in_gaps = cohort.is_compared(g);
        if (!report.in_gaps)
            report.reason =
                cohort.has_unknown && g == cohort.size() - 1
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
        if (worst < 0 || (kMetricDefinitions[metric].lower_is_better ? v > seen : v < seen))
            worst = g;
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

// The same cohort with its group labels permuted, both ways.
struct Permuted {
    FigureRows within_diagnosis, over_all;

    const FigureRows& rows(Null null) const {
        return null == Null::over_all ? over_all : within_diagnosis;
    }
};

void set_interval(Measure& m, Interval i) {
    m.low = i.low;
    m.high = i.high;
    m.reason = std::move(i.reason);
}

// Fair range and p of a gap, from its values under permutation.
void set_fair_range(Gap& gap, std::vector<double> permuted, double confidence) {
    std::erase_if(permuted, [](double v) { return std::isnan(v); });
    if (permuted.empty()) return;
    const double tail = (1 - confidence) / 2;
    gap.fair_low = quantile(permuted, tail);
    gap.fair_high = quantile(permuted, 1 - tail);
    for (double& v : permuted) v = std::abs(v - gap.fair);
    gap.p = p_value(std::abs(gap.value - gap.fair), permuted);
}

const char* name(Null null) { return null == Null::over_all ? "over all" : "within diagnosis"; }

Gap pair_gap(const GapDefinition& definition,
             const Predictions& p,
             const Cohort& cohort,
             const Scored& scored,
             const Permuted& permuted) {
    Gap gap;
    gap.key = definition.key;
    gap.formula = definition.formula;
    gap.null = name(definition.null);
    const PairValue seen = worst_pair(definition, scored.seen.figures(0), cohort.compared);
    if (std::isnan(seen.value)) {
        gap.reason = definition.needs_probabilities() && !p.has_probabilities()
                         ? kNoProbabilities
                         : "not estimable in two groups";
        gap.rms_reason = gap.reason;
        return gap;
    }
    gap.value = seen.value;
    gap.mean_pair = seen.mean;
    gap.group_a = cohort.groups[seen.a];
    gap.group_b = cohort.groups[seen.b];

    const auto values = [&](const FigureRows& rows) {
        std::vector<double> out(rows.count);
        for (int64_t r = 0; r < rows.count; ++r)
            out[r] = worst_pair(definition, rows.figures(r), cohort.compared).value;
        return out;
    };
    set_fair_range(gap, values(permuted.rows(definition.null)), scored.confidence);
    set_interval(gap, absolute_interval(gap.value, gap.fair_high, values(scored.resampled),
                                        scored.confidence));

    const RmsGap rms =
        rms_gap(definition, p, cohort, scored.seen, scored.resampled, seen.a, seen.b);
    gap.rms_squared = rms.square.value;
    gap.rms_classes = rms.classes;
    gap.rms_reason = rms.reason;
    if (!std::isnan(gap.rms_squared)) {
        const Interval i =
            centred_interval(rms.square.value, rms.square.resampled, scored.confidence);
        gap.rms = std::sqrt(std::max(0.0, gap.rms_squared));
        gap.rms_low = std::sqrt(std::isnan(i.low) ? i.low : std::max(0.0, i.low));
        gap.rms_high = std::sqrt(std::isnan(i.high) ? i.high : std::max(0.0, i.high));
        gap.rms_reason = i.reason;
    }
    if (definition.metric >= 0) {
        const auto column = [&](int g) {
            return scored.resampled.column(scored.resampled.layout.metric(g, definition.metric));
        };
        std::vector<double> difference = column(seen.a), other = column(seen.b);
        for (size_t r = 0; r < difference.size(); ++r) difference[r] -= other[r];
        const GroupFigures figures = scored.seen.figures(0);
        gap.signed_gap.value =
            figures.metric(seen.a, definition.metric) - figures.metric(seen.b, definition.metric);
        set_interval(gap.signed_gap, percentile_interval(std::move(difference), scored.confidence));
    } else {
        const ClassCount count = count_classes(definition, scored.seen.figures(0), seen.a, seen.b);
        gap.classes = count.classes;
        gap.absent = count.absent;
    }
    return gap;
}

Gap ratio_gap(const RatioDefinition& definition,
              const Cohort& cohort,
              const Scored& scored,
              const Permuted& permuted) {
    Gap gap;
    gap.key = definition.key;
    gap.formula = definition.formula;
    gap.null = name(definition.null);
    gap.fair = definition.fair;
    gap.rms_reason = "a ratio has no signed gaps";
    gap.value = definition.value(scored.seen.figures(0), cohort.compared);
    if (std::isnan(gap.value)) {
        gap.reason = "0/0 in every class or group";
        return gap;
    }
    const auto values = [&](const FigureRows& rows) {
        std::vector<double> out(rows.count);
        for (int64_t r = 0; r < rows.count; ++r)
            out[r] = definition.value(rows.figures(r), cohort.compared);
        return out;
    };
    set_fair_range(gap, values(permuted.rows(definition.null)), scored.confidence);
    // The rule of absolute gaps, on the distance from fair.
    std::vector<double> resampled = values(scored.resampled);
    for (double& v : resampled) v = std::abs(v - definition.fair);
    const double worst_fair = definition.fair == 0 ? gap.fair_high : definition.fair - gap.fair_low;
    const Interval i = absolute_interval(std::abs(gap.value - definition.fair), worst_fair,
                                         std::move(resampled), scored.confidence);
    gap.reason = i.reason;
    gap.low = definition.fair == 0 || std::isnan(i.high) ? i.low
                                                         : std::max(0.0, definition.fair - i.high);
    gap.high = definition.fair == 0 ? i.high : definition.fair - i.low;
    return gap;
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
        if (cohort.has_unknown && g == cohort.size() - 1) {
            report.unknown = n;
        } else {
            ++report.groups_left_out;
            report.samples_left_out += n;
        }
    }
    report.worst = worst_groups(cohort, scored, report.groups);
    if (cohort.compared.size() < 2) {
        report.no_gaps =
            fmt::format("{} known group{} of at least {} samples", cohort.compared.size(),
                        cohort.compared.size() == 1 ? "" : "s", options.min_group_size);
        return report;
    }
    const Permuted permuted{
        .within_diagnosis = permute_groups(scorer, cohort, Null::within_diagnosis, plan),
        .over_all = permute_groups(scorer, cohort, Null::over_all, plan)};
    for (const GapDefinition& d : gap_definitions())
        report.gaps.push_back(pair_gap(d, p, cohort, scored, permuted));
    for (const RatioDefinition& d : ratio_definitions())
        report.gaps.push_back(ratio_gap(d, cohort, scored, permuted));
    return report;
}

// On the unfair side of the fair range.
bool beyond_fair(const Gap& gap) {
    return gap.fair == 0 ? gap.value > gap.fair_high : gap.value < gap.fair_low;
}

void correct_and_say(Report& report) {
    std::vector<double> p;
    for (const auto& a : report.attributes)
        for (const Gap& g : a.gaps) p.push_back(g.p);
    const std::vector<double> corrected = holm(p);
    size_t next = 0;
    for (auto& a : report.attributes) {
        for (Gap& g : a.gaps) {
            g.p_holm = corrected[next++];
            if (std::isnan(g.p)) continue;
            if (!beyond_fair(g))
                g.verdict = "not distinguishable from a classifier that treats the groups alike";
            else if (g.p_holm > 1 - report.options.confidence)
                g.verdict = "beyond the fair range, but not after correction for the whole table";
            else
                g.verdict = "beyond what a classifier that treats the groups alike would show";
        }
    }
}

OperatingPoint operating_point(const Predictions& p, const EvaluateOptions& options) {
    if (options.positive.empty()) return {};
    const auto found = std::find(p.classes.begin(), p.classes.end(), options.positive);
    FP_REQUIRE(found != p.classes.end(), Exit::usage, "no class ", options.positive, "; there are ",
               fmt::format("{}", fmt::join(p.classes, ", ")));
    return {.positive = int(found - p.classes.begin()), .specificity = options.specificity};
}

}  // namespace

const Measure& GroupReport::metric(std::string_view key) const {
    return find(metrics, key, "metric");
}
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

Report evaluate(const Predictions& p,
                const std::vector<std::string>& attributes,
                const EvaluateOptions& options) {
    FP_CHECK(p.size() > 0, "no predictions");
    const Scorer scorer(p, operating_point(p, options));
    const Cohort all = whole(p);
    const Scored scored{
        .seen = observed(scorer, all),
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
    correct_and_say(report);
    return report;
}

}  // namespace fp
