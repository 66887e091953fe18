#include "engine/fairness/gap_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "engine/fairness/verdict_words.h"

namespace fp {
namespace {

constexpr int kFewestUnits = 2;

// Whether the rates of class c in this combination have enough units of the group in their denominators. A unit with
// images of two diagnoses counts as one with the class, not as one without.
bool enough_units(const Combination& part, const Cohort& cohort, int group, int c) {
    const int all = cohort.units_of_group[group], positive = cohort.positives[group][c];
    return (part.tpr == 0 || positive >= kFewestUnits) && (part.fpr == 0 || all - positive >= kFewestUnits) &&
           (part.selected == 0 || all >= kFewestUnits);
}

// A key's value in each row.
std::vector<double> values_of(const GapDefinition& definition, const Cohort& cohort, const FigureRows& rows) {
    return rows.each([&](int64_t r) { return definition.value(rows.figures(r), cohort.compared); });
}

// Fair range and p of a gap, from its values under permutation.
void set_fair_range(Gap& gap, std::vector<double> permuted, double confidence) {
    erase_nan(permuted);
    if (permuted.empty()) return;
    const double tail = (1 - confidence) / 2;
    gap.fair_low = quantile(permuted, tail);
    gap.fair_high = quantile(permuted, 1 - tail);
    gap.p = distance_p_value(gap.value, gap.fair, std::move(permuted));
}

// absolute_interval of the distance from the fair value.
void set_interval(Gap& gap, std::vector<double> resampled, double confidence) {
    for (double& v : resampled) v = std::abs(v - gap.fair);
    const double worst_fair = gap.fair == 0 ? gap.fair_high : gap.fair - gap.fair_low;
    Interval i = absolute_interval(std::abs(gap.value - gap.fair), worst_fair, std::move(resampled), confidence);
    if (gap.fair != 0 && !std::isnan(i.low))
        i = {std::max(0.0, gap.fair - i.high), gap.fair - i.low, std::move(i.reason)};
    gap.set(std::move(i));
}

double root(double square) { return std::isnan(square) ? square : std::sqrt(std::max(0.0, square)); }

void set_rms(Gap& gap, const RmsGap& rms, double confidence) {
    gap.rms_squared = rms.square.value;
    gap.rms_classes = rms.classes;
    gap.rms_reason = rms.reason;
    if (std::isnan(gap.rms_squared)) return;
    const Interval i = centred_interval(rms.square.value, rms.square.resampled, confidence);
    gap.rms = root(gap.rms_squared);
    gap.rms_low = root(i.low);
    gap.rms_high = root(i.high);
    gap.rms_reason = !i.reason.empty() || gap.rms_squared >= 0 ? i.reason : "smaller than noise: 0";
}

void set_pair(Gap& gap, const GapDefinition& definition, const Cohort& cohort, const Scored& scored) {
    const GroupFigures figures = scored.seen.figures(0);
    const PairValue worst = worst_pair(definition, figures, cohort.compared);
    gap.mean_pair = worst.mean;
    gap.group_a = cohort.groups[worst.a];
    gap.group_b = cohort.groups[worst.b];
    set_rms(gap, rms_gap(definition, cohort, scored, worst.a, worst.b), scored.confidence);
    if (definition.metric < 0) {
        const ClassCount count = count_classes(definition, figures, worst.a, worst.b);
        gap.classes = count.classes;
        gap.absent = count.absent;
        return;
    }
    const int a = figures.layout.metric(worst.a, definition.metric),
              b = figures.layout.metric(worst.b, definition.metric);
    const auto difference = [&](const FigureRows& rows, int64_t r) {
        return rows.figures(r).row[a] - rows.figures(r).row[b];
    };
    gap.signed_gap.value = difference(scored.seen, 0);
    gap.signed_gap.set(percentile_interval(
        scored.resampled.each([&](int64_t r) { return difference(scored.resampled, r); }), scored.confidence));
}

}  // namespace

Measure Scored::measure(std::string key, std::string formula, int column, bool absolute) const {
    Measure m{.key = std::move(key), .formula = std::move(formula), .value = seen.figures(0).row[column]};
    if (std::isnan(m.value)) return m;
    m.set(absolute ? absolute_interval(m.value, 0, resampled.column(column), confidence)
                   : percentile_interval(resampled.column(column), confidence));
    return m;
}

Scored score_cohort(const Scorer& scorer, const Cohort& cohort, const EvaluateOptions& options, MetricSet metrics) {
    return {.seen = observed(scorer, cohort),
            .resampled = bootstrap(scorer, cohort, options, metrics),
            .confidence = options.confidence};
}

RmsGap rms_gap(const GapDefinition& gap, const Cohort& cohort, const Scored& scored, int a, int b, int model) {
    if (gap.maximum) return {.reason = "a maximum has no unbiased square"};
    if (scored.resampled.count == 0) return {.reason = "no resamples were asked for"};

    std::vector<std::pair<Combination, int>> elements;  // with their class
    std::set<int> classes;
    if (gap.metric < 0) {
        for (const Combination& part : gap.parts)
            for (int c = 0; c < scored.seen.layout.classes; ++c) {
                if (part.empty() || !enough_units(part, cohort, a, c) || !enough_units(part, cohort, b, c)) continue;
                elements.push_back({part, c});
                classes.insert(c);
            }
        if (elements.empty()) return {.reason = fmt::format("no class with {} units in both groups", kFewestUnits)};
    }
    const auto signed_gaps = [&](const FigureRows& rows) {
        std::vector<double> out;
        for (int64_t r = 0; r < rows.count; ++r) {
            const GroupFigures figures = rows.figures(r, model);
            if (gap.metric >= 0) out.push_back(figures.metric(a, gap.metric) - figures.metric(b, gap.metric));
            for (const auto& [part, c] : elements) out.push_back(part.of(figures, a, b, c));
        }
        return out;
    };
    return {.square = mean_square(signed_gaps(scored.seen), signed_gaps(scored.resampled)),
            .classes = int(classes.size())};
}

std::vector<Gap> gaps_of(const Scorer& scorer,
                         const Cohort& cohort,
                         const Scored& scored,
                         const EvaluateOptions& options) {
    const FigureRows within_diagnosis = permute_groups(scorer, cohort, NullModel::within_diagnosis, options),
                     over_all = permute_groups(scorer, cohort, NullModel::over_all, options);
    std::vector<Gap> gaps;
    for (const GapDefinition& d : gap_definitions()) {
        const bool within = d.null == NullModel::within_diagnosis;
        Gap& gap = gaps.emplace_back();
        gap.key = d.key;
        gap.formula = d.formula;
        gap.null = within ? kWithinDiagnosis : kOverAll;
        gap.fair = d.fair;
        gap.value = d.value(scored.seen.figures(0), cohort.compared);
        if (std::isnan(gap.value))
            gap.reason = d.all                                                    ? "0/0 in every class or group"
                         : d.needs_probabilities() && !scorer.has_probabilities() ? kNoProbabilities
                                                                                  : "not estimable in two groups";
        gap.rms_reason = d.all ? kNoSignedGaps : gap.reason;
        if (std::isnan(gap.value)) continue;
        set_fair_range(gap, values_of(d, cohort, within ? within_diagnosis : over_all), scored.confidence);
        set_interval(gap, values_of(d, cohort, scored.resampled), scored.confidence);
        if (!d.all) set_pair(gap, d, cohort, scored);
    }
    return gaps;
}

void set_verdicts(const std::vector<Gap*>& table, double alpha) {
    correct_by_holm(table);
    for (Gap* g : table)
        if (!std::isnan(g->p)) g->verdict = words_of(*g, alpha);
}

}  // namespace fp
