#include "engine/fairness/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <unordered_map>

#include "engine/fairness/bootstrap.h"
#include "engine/fairness/intervals.h"
#include "engine/fairness/rms_gap.h"
#include "kernels/error.h"

namespace fp {
namespace {

// Both models' figures of one cohort: as they are, on the same resamples, and with predictions swapped.
struct Pairing {
    const Predictions& predictions;
    Cohort cohort;
    FigureRows seen, resampled, swapped;
    double confidence;

    std::vector<int> compared(int model) const {
        std::vector<int> groups = cohort.compared;
        for (int& g : groups) g += model * cohort.size();
        return groups;
    }
};

using Statistic = std::function<double(const GroupFigures&, int model)>;

std::vector<double> differences(const FigureRows& rows, const Statistic& statistic) {
    std::vector<double> out(rows.count);
    for (int64_t r = 0; r < rows.count; ++r) out[r] = statistic(rows.figures(r), 0) - statistic(rows.figures(r), 1);
    return out;
}

// Both values, their difference and its swap test; no interval.
Difference difference(const Pairing& pairing, const char* key, const char* formula, const Statistic& statistic) {
    Difference d;
    d.key = key;
    d.formula = formula;
    d.model = statistic(pairing.seen.figures(0), 0);
    d.other = statistic(pairing.seen.figures(0), 1);
    d.value = d.model - d.other;
    if (std::isnan(d.value)) {
        d.reason = "not estimable in both models";
        return d;
    }
    std::vector<double> swapped = differences(pairing.swapped, statistic);
    std::erase_if(swapped, [](double v) { return std::isnan(v); });
    for (double& v : swapped) v = std::abs(v);
    if (!swapped.empty()) d.p = p_value(std::abs(d.value), swapped);
    return d;
}

std::vector<Difference> metric_differences(const Pairing& pairing, int group, bool with_p) {
    std::vector<Difference> out;
    for (int m = 0; m < kMetrics; ++m) {
        const MetricDefinition& definition = kMetricDefinitions[m];
        const Statistic statistic = [&](const GroupFigures& f, int model) {
            return f.metric(model * pairing.cohort.size() + group, m);
        };
        Difference d = difference(pairing, definition.key, definition.formula, statistic);
        if (m == kSensitivity && std::isnan(d.value)) continue;
        if (!std::isnan(d.value))
            d.set(percentile_interval(differences(pairing.resampled, statistic), pairing.confidence));
        if (!with_p) d.p = kNotEstimable;
        out.push_back(std::move(d));
    }
    return out;
}

void set_rms(Difference& d, const Pairing& pairing, const GapDefinition& gap) {
    const PairValue worst = worst_pair(gap, pairing.seen.figures(0), pairing.compared(1));
    const int a = worst.a - pairing.cohort.size(), b = worst.b - pairing.cohort.size();
    const auto of_model = [&](int model) {
        return rms_gap(gap, pairing.predictions, pairing.cohort, pairing.seen, pairing.resampled, a, b, model);
    };
    const RmsGap model = of_model(0), other = of_model(1);
    d.rms_reason = model.reason;
    d.rms_squared = model.square.value - other.square.value;
    if (std::isnan(d.rms_squared)) return;
    std::vector<double> resampled = model.square.resampled;
    for (size_t r = 0; r < resampled.size(); ++r) resampled[r] -= other.square.resampled[r];
    const Interval i = centred_interval(d.rms_squared, std::move(resampled), pairing.confidence);
    d.rms_squared_low = i.low;
    d.rms_squared_high = i.high;
    d.rms_reason = i.reason;
}

std::vector<Difference> gap_differences(const Pairing& pairing) {
    std::vector<Difference> out;
    for (const GapDefinition& gap : gap_definitions()) {
        Difference d = difference(pairing, gap.key, gap.formula, [&](const GroupFigures& f, int model) {
            return worst_pair(gap, f, pairing.compared(model)).value;
        });
        d.fair = 0;
        if (!std::isnan(d.value)) {
            d.reason = "a difference of absolute gaps has no valid interval: see p and rms_squared";
            set_rms(d, pairing, gap);
        }
        out.push_back(std::move(d));
    }
    for (const RatioDefinition& ratio : ratio_definitions()) {
        Difference d = difference(pairing, ratio.key, ratio.formula, [&](const GroupFigures& f, int model) {
            return ratio.value(f, pairing.compared(model));
        });
        d.fair = ratio.fair;
        d.rms_reason = "a ratio has no signed gaps";
        if (!std::isnan(d.value)) d.reason = "a difference of extremes has no valid interval: see p";
        out.push_back(std::move(d));
    }
    return out;
}

const GapDefinition& definition_of(std::string_view key) {
    const auto gaps = gap_definitions();
    return *std::find_if(gaps.begin(), gaps.end(), [&](const auto& g) { return g.key == key; });
}

// `overall` is the same pairing with all cases in one group.
std::vector<Measure> fates(const Pairing& pairing, const Pairing& overall) {
    const GapDefinition& eodd = definition_of("eodd");
    const auto relative = [](double value, double base) { return ratio(value - base, base); };
    std::vector<Measure> out;
    for (const int metric : {kMacroF1, kAccuracy}) {
        const auto fate = [&](const GroupFigures& groups, const GroupFigures& all) {
            return relative(all.metric(0, metric), all.metric(1, metric)) -
                   relative(worst_pair(eodd, groups, pairing.compared(0)).value,
                            worst_pair(eodd, groups, pairing.compared(1)).value);
        };
        Measure m;
        m.key = metric == kMacroF1 ? "fate_f1" : "fate_accuracy";
        m.formula = metric == kMacroF1 ? "(f1 - f1_b)/f1_b - (eodd - eodd_b)/eodd_b"
                                       : "(acc - acc_b)/acc_b - (eodd - eodd_b)/eodd_b";
        m.value = fate(pairing.seen.figures(0), overall.seen.figures(0));
        if (std::isnan(m.value)) {
            m.reason = "accuracy or eodd of the other model is 0";
        } else {
            std::vector<double> resampled(pairing.resampled.count);
            for (int64_t r = 0; r < pairing.resampled.count; ++r)
                resampled[r] = fate(pairing.resampled.figures(r), overall.resampled.figures(r));
            m.set(percentile_interval(std::move(resampled), pairing.confidence));
        }
        out.push_back(std::move(m));
    }
    return out;
}

std::string fate_note(const std::vector<Measure>& fates, const GroupFigures& all) {
    for (const Measure& m : fates) {
        const bool f1 = m.key == "fate_f1";
        const double model = all.metric(0, f1 ? kMacroF1 : kAccuracy), other = all.metric(1, f1 ? kMacroF1 : kAccuracy);
        if (m.value > 0 && model < other)
            return fmt::format(
                "{} is above 0 although {} fell from {:.3f} to {:.3f}: a model that tells less has "
                "a smaller gap, and one that gives everybody the same class has none.",
                m.key, f1 ? "macro F1" : "accuracy", other, model);
    }
    return "";
}

// The two models' cases one after the other, for one Scorer.
Predictions joined(const Predictions& model, const Predictions& other) {
    Predictions both = model;
    both.label.insert(both.label.end(), other.label.begin(), other.label.end());
    both.pred.insert(both.pred.end(), other.pred.begin(), other.pred.end());
    if (model.has_probabilities() && other.has_probabilities())
        both.prob.insert(both.prob.end(), other.prob.begin(), other.prob.end());
    else
        both.prob.clear();
    return both;
}

void see(Cohort& cohort, const Predictions& other) {
    for (int64_t i = 0; i < cohort.cases(); ++i)
        if (cohort.is_compared(cohort.group_of_case[i])) cohort.seen = std::max(cohort.seen, other.pred[i] + 1);
}

Pairing pair(const Predictions& model, Cohort cohort, const Scorer& scorer, const EvaluateOptions& options) {
    const Plan plan{options.resamples, options.seed, options.threads};
    FigureRows seen = observed(scorer, cohort), resampled = bootstrap(scorer, cohort, plan),
               swapped = swap_models(scorer, cohort, plan);
    return {model, std::move(cohort), std::move(seen), std::move(resampled), std::move(swapped), options.confidence};
}

// All cases in one group; units keep theirs, so that the resamples are the same.
Pairing overall_of(const Pairing& pairing, const Scorer& scorer, const EvaluateOptions& options) {
    Cohort cohort = pairing.cohort;
    cohort.groups = {"all"};
    cohort.group_of_case.assign(cohort.cases(), 0);
    FigureRows seen = observed(scorer, cohort);
    FigureRows resampled = bootstrap(scorer, cohort, {options.resamples, options.seed, options.threads}, Parts::counts);
    return {pairing.predictions, std::move(cohort), std::move(seen), std::move(resampled), {}, options.confidence};
}

AttributeComparison compare_attribute(const Predictions& model,
                                      const Predictions& other,
                                      const Scorer& scorer,
                                      const std::string& attribute,
                                      const EvaluateOptions& options) {
    Cohort cohort = by_attribute(model, attribute, options.min_group_size);
    see(cohort, other);
    const Pairing pairing = pair(model, std::move(cohort), scorer, options);

    AttributeComparison out;
    out.name = attribute;
    for (int g = 0; g < pairing.cohort.size(); ++g)
        out.groups.push_back(
            {.name = pairing.cohort.groups[g],
             .samples = std::count(pairing.cohort.group_of_case.begin(), pairing.cohort.group_of_case.end(), g),
             .metrics = metric_differences(pairing, g, false)});
    out.no_gaps = pairing.cohort.why_no_gaps();
    if (!out.no_gaps.empty()) return out;
    out.gaps = gap_differences(pairing);
    const Pairing overall = overall_of(pairing, scorer, options);
    out.fate = fates(pairing, overall);
    out.fate_note = fate_note(out.fate, overall.seen.figures(0));
    return out;
}

std::string verdict(const Difference& d, double alpha) {
    if (d.p > alpha) return fmt::format("no evidence of a change (p = {:.2g})", d.p);
    if (d.p_holm > alpha)
        return fmt::format("no evidence of a change after correction (p = {:.2g}, Holm {:.2g})", d.p, d.p_holm);
    const bool gap = !std::isnan(d.fair);
    const double change = gap ? std::abs(d.model - d.fair) - std::abs(d.other - d.fair) : d.value;
    return fmt::format("{} than the other model's (p = {:.2g}, Holm {:.2g})",
                       gap ? (change < 0 ? "fairer" : "less fair") : (change < 0 ? "lower" : "higher"), d.p, d.p_holm);
}

void correct_and_say(Comparison& comparison) {
    std::vector<Difference*> family;
    for (auto& d : comparison.metrics) family.push_back(&d);
    for (auto& a : comparison.attributes)
        for (auto& d : a.gaps) family.push_back(&d);
    std::vector<double> p;
    for (const Difference* d : family) p.push_back(d->p);
    const std::vector<double> corrected = holm(p);
    for (size_t i = 0; i < family.size(); ++i) {
        family[i]->p_holm = corrected[i];
        family[i]->changed = corrected[i] <= 1 - comparison.options.confidence;
        if (!std::isnan(family[i]->p)) family[i]->verdict = verdict(*family[i], 1 - comparison.options.confidence);
    }
}

// The longer of two lists of classes, which must hold the other.
const std::vector<std::string>& common_classes(const std::vector<std::string>& a, const std::vector<std::string>& b) {
    const auto& longer = a.size() >= b.size() ? a : b;
    for (const auto& c : a.size() >= b.size() ? b : a)
        FP_REQUIRE(std::find(longer.begin(), longer.end(), c) != longer.end(), Exit::data,
                   "only one of the two models knows the class ", c);
    return longer;
}

Predictions with_classes(const Predictions& p, const std::vector<std::string>& classes) {
    if (p.classes == classes) return p;
    std::vector<int> index;
    for (const auto& c : p.classes)
        index.push_back(int(std::find(classes.begin(), classes.end(), c) - classes.begin()));
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

Comparison compare(const Predictions& given,
                   const Predictions& given_other,
                   const std::vector<std::string>& attributes,
                   const EvaluateOptions& options) {
    const std::vector<std::string>& classes = common_classes(given.classes, given_other.classes);
    const Predictions model = with_classes(given, classes);
    const Predictions other = in_order_of(model, with_classes(given_other, classes));
    const Scorer scorer(joined(model, other), operating_point(model, options.positive, options.specificity));
    Cohort all = whole(model);
    see(all, other);
    const Pairing pairing = pair(model, std::move(all), scorer, options);

    Comparison out;
    out.samples = model.size();
    out.units = pairing.cohort.units.count();
    out.options = options;
    out.metrics = metric_differences(pairing, 0, true);
    for (const auto& attribute : attributes)
        out.attributes.push_back(compare_attribute(model, other, scorer, attribute, options));
    correct_and_say(out);
    return out;
}

}  // namespace fp
