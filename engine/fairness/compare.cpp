#include "engine/fairness/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "engine/fairness/primary_gap.h"
#include "engine/fairness/verdict_words.h"
#include "engine/io/columns.h"
#include "kernels/error.h"

namespace fp {
namespace {

const char* const kNoFateInterval =
    "a ratio of absolute gaps, which noise moves to one side: no interval of it covers. See the changes of accuracy "
    "and of rms^2";

// A statistic of the figures of one model: of the first minus that of the second, in each row.
template <class Statistic>
std::vector<double> differences(const FigureRows& rows, const Statistic& statistic) {
    return rows.each([&](int64_t r) { return statistic(rows.figures(r, 0)) - statistic(rows.figures(r, 1)); });
}

// Both values and their difference; no interval.
template <class Statistic>
Difference difference(const Scored& both, const char* key, const char* formula, const Statistic& statistic) {
    Difference d;
    d.key = key;
    d.formula = formula;
    d.model = statistic(both.seen.figures(0, 0));
    d.other = statistic(both.seen.figures(0, 1));
    d.value = d.model - d.other;
    if (std::isnan(d.value)) d.reason = "not estimable in both models";
    return d;
}

Harm harm_of(const Difference& d, bool lower_is_better, double margin) {
    if (std::isnan(d.low)) return Harm::untested;
    const double low = lower_is_better ? -d.high : d.low, high = lower_is_better ? -d.low : d.high;
    if (high < 0) return Harm::worse;
    if (low > 0) return Harm::better;
    return low > -margin ? Harm::within_margin : Harm::not_excluded;
}

// `swapped`: of the models' predictions exchanged, for p; may be null.
std::vector<Difference> metric_differences(const Scored& both,
                                           int group,
                                           const FigureRows* swapped,
                                           const EvaluateOptions& options) {
    std::vector<Difference> out;
    for (int m = 0; m < kMetrics; ++m) {
        const MetricDefinition& definition = kMetricDefinitions[m];
        const auto statistic = [&](const GroupFigures& f) { return f.metric(group, m); };
        Difference d = difference(both, definition.key, definition.formula, statistic);
        if (m == kSensitivity && std::isnan(d.value)) continue;
        if (!std::isnan(d.value)) {
            d.set(percentile_interval(differences(both.resampled, statistic), both.confidence));
            if (swapped) d.p = distance_p_value(d.value, 0, differences(*swapped, statistic));
            d.harm = harm_of(d, definition.lower_is_better, options.margin);
            d.verdict = words_of(d, options);
        }
        out.push_back(std::move(d));
    }
    return out;
}

void set_rms_difference(Difference& d, const Cohort& cohort, const Scored& both, const GapDefinition& gap) {
    const RmsGap model = rms_gap(gap, cohort, both, 0), other = rms_gap(gap, cohort, both, 1);
    d.rms_reason = model.reason;
    d.rms_squared = model.square.value - other.square.value;
    if (std::isnan(d.rms_squared)) return;
    std::vector<double> resampled = model.square.resampled;
    for (size_t r = 0; r < resampled.size(); ++r) resampled[r] -= other.square.resampled[r];
    const Interval i = centred_interval(d.rms_squared, std::move(resampled), both.confidence);
    d.rms_squared_low = i.low;
    d.rms_squared_high = i.high;
    d.rms_reason = i.reason;
}

std::vector<Difference> gap_differences(const Cohort& cohort, const Scored& both, const OperatingPoint& point) {
    std::vector<Difference> out;
    for (const GapDefinition& gap : gap_definitions()) {
        if (!is_wanted(gap, point)) continue;
        Difference& d = out.emplace_back(difference(
            both, gap.key, gap.formula, [&](const GroupFigures& f) { return gap.value(f, cohort.compared); }));
        d.fair = gap.fair;
        if (gap.all) d.rms_reason = kNoSignedGaps;
        if (std::isnan(d.value)) continue;
        d.reason = gap.all ? "a difference of extremes has no valid interval"
                           : "a difference of absolute gaps has no valid interval: see rms_squared";
        if (!gap.all) set_rms_difference(d, cohort, both, gap);
    }
    return out;
}

// FATE in the row r of both: (metric - metric_b) / metric_b - (eodd - eodd_b) / eodd_b.
double fate(const FigureRows& groups, const FigureRows& all, int64_t r, int metric, const Cohort& cohort) {
    const auto change = [&](const FigureRows& rows, auto statistic) {
        const double model = statistic(rows.figures(r, 0)), other = statistic(rows.figures(r, 1));
        return ratio(model - other, other);
    };
    const GapDefinition& eodd = *std::ranges::find(gap_definitions(), std::string_view("eodd"), &GapDefinition::key);
    return change(all, [&](const GroupFigures& f) { return f.metric(0, metric); }) -
           change(groups, [&](const GroupFigures& f) { return eodd.value(f, cohort.compared); });
}

// `overall` has all cases in one group.
void set_fate(AttributeComparison& out, const Cohort& cohort, const Scored& both, const Scored& overall) {
    for (const int metric : {kMacroF1, kAccuracy}) {
        const bool f1 = metric == kMacroF1;
        Measure& m = out.fate.emplace_back();
        m.key = f1 ? "fate_f1" : "fate_accuracy";
        m.formula = f1 ? "(f1 - f1_b)/f1_b - (eodd - eodd_b)/eodd_b" : "(acc - acc_b)/acc_b - (eodd - eodd_b)/eodd_b";
        m.value = fate(both.seen, overall.seen, 0, metric, cohort);
        if (std::isnan(m.value)) {
            m.reason = "accuracy or eodd of the other model is 0";
            continue;
        }
        m.reason = kNoFateInterval;
        const double model = overall.seen.figures(0, 0).metric(0, metric),
                     other = overall.seen.figures(0, 1).metric(0, metric);
        if (out.fate_note.empty() && m.value > 0 && model < other)
            out.fate_note = fmt::format(
                "{} is above 0 although {} fell from {:.3f} to {:.3f}: a less accurate model has "
                "a smaller gap, and one that predicts the same class for all has none.",
                m.key, f1 ? "macro F1" : "accuracy", other, model);
    }
}

// The two models' cases one after the other, for one Scorer.
Predictions joined(const Predictions& model, const Predictions& other) {
    const auto join = [](auto& values, const auto& more) { values.insert(values.end(), more.begin(), more.end()); };
    Predictions both = model;
    join(both.label, other.label);
    join(both.pred, other.pred);
    join(both.prob, other.prob);
    if (!model.has_probabilities() || !other.has_probabilities()) both.prob.clear();
    return both;
}

AttributeComparison compare_attribute(const Predictions& model,
                                      const Scorer& scorer,
                                      const std::string& attribute,
                                      const EvaluateOptions& options) {
    const Cohort cohort = by_attribute(model, attribute, options.min_group_size);
    const Scored both = score_cohort(scorer, cohort, options);
    AttributeComparison out;
    out.name = attribute;
    for (int g = 0; g < cohort.size(); ++g)
        out.groups.push_back({.name = cohort.groups[g],
                              .samples = std::ranges::count(cohort.group_of_case, g),
                              .metrics = metric_differences(both, g, nullptr, options)});
    out.no_gaps = cohort.why_no_gaps();
    if (!out.no_gaps.empty()) return out;
    out.primary = primary_difference(cohort, both);
    out.gaps = gap_differences(cohort, both, scorer.point());
    // All cases in one group; units keep theirs, so that the resamples are the same.
    Cohort together = cohort;
    together.groups = {"all"};
    together.group_of_case.assign(cohort.cases(), 0);
    set_fate(out, cohort, both, score_cohort(scorer, together, options, MetricSet::counts));
    return out;
}

// The longer of two lists of classes, which must hold the other.
const std::vector<std::string>& common_classes(const std::vector<std::string>& a, const std::vector<std::string>& b) {
    if (a.size() < b.size()) return common_classes(b, a);
    for (const auto& c : b)
        FP_REQUIRE(index_of(a, c) >= 0, Exit::data, "only one of the two models knows the class ", c);
    return a;
}

Predictions with_classes(const Predictions& p, const std::vector<std::string>& classes) {
    if (p.classes == classes) return p;
    std::vector<int> index;
    for (const auto& c : p.classes) index.push_back(index_of(classes, c));
    Predictions out = p;
    out.classes = classes;
    for (int& c : out.label) c = index[c];
    for (int& c : out.pred) c = index[c];
    if (!p.has_probabilities()) return out;
    out.prob.assign(p.size() * classes.size(), 0);
    for (int64_t i = 0; i < p.size(); ++i)
        for (size_t c = 0; c < p.classes.size(); ++c) out.prob[i * classes.size() + index[c]] = p.row(i)[c];
    return out;
}

Predictions in_order_of(const Predictions& model, const Predictions& other) {
    std::unordered_map<std::string, int64_t> row_of;
    for (int64_t i = 0; i < other.size(); ++i) row_of.emplace(other.image[i], i);
    std::vector<int64_t> rows;
    for (const auto& image : model.image)
        if (const auto found = row_of.find(image); found != row_of.end()) rows.push_back(found->second);
    FP_REQUIRE(int64_t(rows.size()) == model.size() && other.size() == model.size(), Exit::data,
               "the two models are judged on different images: ", model.size(), " and ", other.size(), ", of which ",
               rows.size(), " are the same");
    Predictions out = rows_of(other, rows);
    for (int64_t i = 0; i < out.size(); ++i)
        FP_REQUIRE(out.label[i] == model.label[i], Exit::data, "image ", model.image[i], " is ",
                   model.classes[model.label[i]], " for one model and ", out.classes[out.label[i]], " for the other");
    return out;
}

}  // namespace

double Difference::largest_loss() const {
    const bool lower_is_better =
        std::ranges::any_of(kMetricDefinitions, [&](const auto& m) { return m.lower_is_better && m.key == key; });
    const double most = lower_is_better ? high : -low;
    return std::isnan(most) ? most : std::max(0.0, most);
}

Predictions on_rows_of(const Predictions& model, const Predictions& other) {
    const std::vector<std::string>& classes = common_classes(model.classes, other.classes);
    Predictions out = with_classes(model, classes), theirs = in_order_of(out, with_classes(other, classes));
    out.pred = std::move(theirs.pred);
    out.prob = std::move(theirs.prob);
    out.loss = std::move(theirs.loss);
    return out;
}

Comparison compare(const Predictions& given,
                   const Predictions& given_other,
                   const std::vector<std::string>& attributes,
                   const EvaluateOptions& given_options) {
    // A bootstrap and a swap, and of each attribute two bootstraps.
    const int64_t passes = 2 + 2 * int64_t(attributes.size());
    const EvaluateOptions options = over_passes(given_options, passes);
    const std::vector<std::string>& classes = common_classes(given.classes, given_other.classes);
    const Predictions model = with_classes(given, classes);
    const Predictions other = in_order_of(model, with_classes(given_other, classes));
    const Scorer scorer(joined(model, other), operating_point(model.classes, options.positive, options.specificity));
    const Cohort all = whole(model);
    const FigureRows swapped = swap_models(scorer, all, options);

    Comparison out;
    out.samples = model.size();
    out.units = all.units();
    out.options = options;
    out.options.progress = {};
    out.metrics = metric_differences(score_cohort(scorer, all, options), 0, &swapped, options);
    for (const auto& attribute : attributes)
        out.attributes.push_back(compare_attribute(model, scorer, attribute, options));
    std::vector<PrimaryDifference*> family;
    for (AttributeComparison& a : out.attributes) family.push_back(&a.primary);
    set_verdicts(family, options);
    end_passes(given_options, passes);
    return out;
}

}  // namespace fp
