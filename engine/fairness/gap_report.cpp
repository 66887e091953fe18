#include "engine/fairness/gap_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "engine/fairness/verdict_words.h"

namespace fp {
namespace {

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
    set_rms(gap, rms_gap(definition, cohort, scored), scored.confidence);
    if (!definition.difference) {
        const ClassCount count = count_classes(definition, figures, worst.a, worst.b);
        gap.classes = count.classes;
        gap.absent = count.absent;
        return;
    }
    const auto difference = [&](const FigureRows& rows, int64_t r) {
        return definition.difference(rows.figures(r), worst.a, worst.b);
    };
    gap.signed_gap.value = difference(scored.seen, 0);
    gap.signed_gap.set(percentile_interval(
        scored.resampled.each([&](int64_t r) { return difference(scored.resampled, r); }), scored.confidence));
}

// The signed gaps of one pair of groups, and the classes that they are of.
struct PairGaps {
    const GapDefinition& gap;
    int a, b;
    std::vector<std::pair<Combination, int>> elements = {};  // with their class; none of a difference

    PairGaps(const GapDefinition& of, const Cohort& cohort, int first, int second) : gap(of), a(first), b(second) {
        for (const Combination& part : gap.parts)
            for (int c = 0; c < int(cohort.share.size()); ++c)
                if (!part.empty() && enough_units(part, cohort, a, c) && enough_units(part, cohort, b, c))
                    elements.push_back({part, c});
    }
    bool any() const { return gap.difference || !elements.empty(); }
    std::vector<double> of(const FigureRows& rows, int model) const {
        std::vector<double> out;
        for (int64_t r = 0; r < rows.count; ++r) {
            const GroupFigures figures = rows.figures(r, model);
            if (gap.difference) out.push_back(gap.difference(figures, a, b));
            for (const auto& [part, c] : elements) out.push_back(part.of(figures, a, b, c));
        }
        return out;
    }
};

}  // namespace

double root(double square) { return std::isnan(square) ? square : std::sqrt(std::max(0.0, square)); }

Measure Scored::measure(std::string key, std::string formula, int column) const {
    Measure m{.key = std::move(key), .formula = std::move(formula), .value = seen.figures(0).row[column]};
    if (!std::isnan(m.value)) m.set(percentile_interval(resampled.column(column), confidence));
    return m;
}

Scored score_cohort(const Scorer& scorer, const Cohort& cohort, const EvaluateOptions& options, MetricSet metrics) {
    return {.seen = observed(scorer, cohort),
            .resampled = bootstrap(scorer, cohort, options, metrics),
            .confidence = options.confidence};
}

RmsGap rms_gap(const GapDefinition& gap, const Cohort& cohort, const Scored& scored, int model) {
    if (gap.maximum) return {.reason = "a maximum has no unbiased square"};
    if (!gap.difference && gap.parts[0].empty()) return {.reason = "a distance of rows has no signed gaps"};
    if (scored.resampled.count == 0) return {.reason = "no resamples were asked for"};

    std::vector<MeanSquare> pairs;
    std::set<int> classes;
    for (const int a : cohort.compared)
        for (const int b : cohort.compared) {
            if (a >= b) continue;
            const PairGaps gaps(gap, cohort, a, b);
            if (!gaps.any()) continue;
            MeanSquare square = mean_square(gaps.of(scored.seen, model), gaps.of(scored.resampled, model));
            if (std::isnan(square.value)) continue;
            pairs.push_back(std::move(square));
            for (const auto& [part, c] : gaps.elements) classes.insert(c);
        }
    if (pairs.empty()) return {.reason = fmt::format("no class with {} units in two groups", kFewestUnits)};
    const auto mean_over_pairs = [&](auto of) {
        return mean_of_defined(int64_t(pairs.size()), [&](size_t i) { return of(pairs[i]); });
    };
    MeanSquare mean{.value = mean_over_pairs([](const MeanSquare& m) { return m.value; })};
    for (size_t r = 0; r < pairs[0].resampled.size(); ++r)
        mean.resampled.push_back(mean_over_pairs([&](const MeanSquare& m) { return m.resampled[r]; }));
    return {.square = std::move(mean), .classes = int(classes.size())};
}

std::vector<Gap> gaps_of(const Scorer& scorer, const Cohort& cohort, const Scored& scored, const FigureRows& permuted) {
    std::vector<Gap> gaps;
    for (const GapDefinition& d : gap_definitions()) {
        if (!is_wanted(d, scorer.point())) continue;
        Gap& gap = gaps.emplace_back();
        gap.key = d.key;
        gap.formula = d.formula;
        gap.fair = d.fair;
        gap.value = d.value(scored.seen.figures(0), cohort.compared);
        if (std::isnan(gap.value))
            gap.reason = d.all ? "0/0 in every class or group"
                         : gap.key == "eodd_confusion" && !scored.seen.layout.has_confusion()
                             ? fmt::format("more than {} classes", Layout::kMostConfused)
                         : d.needs_probabilities && !scorer.has_probabilities() ? kNoProbabilities
                                                                                : "not estimable in two groups";
        gap.rms_reason = d.all ? kNoSignedGaps : gap.reason;
        if (std::isnan(gap.value)) continue;
        set_fair_range(gap, values_of(d, cohort, permuted), scored.confidence);
        set_interval(gap, values_of(d, cohort, scored.resampled), scored.confidence);
        if (!d.all) set_pair(gap, d, cohort, scored);
        if (!std::isnan(gap.p)) gap.verdict = words_of(gap);
    }
    return gaps;
}

}  // namespace fp
