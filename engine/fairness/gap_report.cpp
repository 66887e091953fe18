#include "engine/fairness/gap_report.h"

#include <algorithm>

#include "engine/fairness/rms_gap.h"

namespace fp {
namespace {

// The same cohort with its group labels permuted, both ways.
struct Permuted {
    FigureRows within_diagnosis, over_all;

    const FigureRows& rows(Null null) const { return null == Null::over_all ? over_all : within_diagnosis; }
};

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
        gap.reason = definition.needs_probabilities() && !p.has_probabilities() ? kNoProbabilities
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
    gap.set(absolute_interval(gap.value, gap.fair_high, values(scored.resampled), scored.confidence));

    const RmsGap rms = rms_gap(definition, p, cohort, scored.seen, scored.resampled, seen.a, seen.b);
    gap.rms_squared = rms.square.value;
    gap.rms_classes = rms.classes;
    gap.rms_reason = rms.reason;
    if (!std::isnan(gap.rms_squared)) {
        const Interval i = centred_interval(rms.square.value, rms.square.resampled, scored.confidence);
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
        gap.signed_gap.value = figures.metric(seen.a, definition.metric) - figures.metric(seen.b, definition.metric);
        gap.signed_gap.set(percentile_interval(std::move(difference), scored.confidence));
    } else {
        const ClassCount count = count_classes(definition, scored.seen.figures(0), seen.a, seen.b);
        gap.classes = count.classes;
        gap.absent = count.absent;
    }
    return gap;
}

Gap ratio_gap(const RatioDefinition& definition, const Cohort& cohort, const Scored& scored, const Permuted& permuted) {
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
        for (int64_t r = 0; r < rows.count; ++r) out[r] = definition.value(rows.figures(r), cohort.compared);
        return out;
    };
    set_fair_range(gap, values(permuted.rows(definition.null)), scored.confidence);
    // The rule of absolute gaps, on the distance from fair.
    std::vector<double> resampled = values(scored.resampled);
    for (double& v : resampled) v = std::abs(v - definition.fair);
    const double worst_fair = definition.fair == 0 ? gap.fair_high : definition.fair - gap.fair_low;
    const Interval i =
        absolute_interval(std::abs(gap.value - definition.fair), worst_fair, std::move(resampled), scored.confidence);
    gap.reason = i.reason;
    gap.low = definition.fair == 0 || std::isnan(i.high) ? i.low : std::max(0.0, definition.fair - i.high);
    gap.high = definition.fair == 0 ? i.high : definition.fair - i.low;
    return gap;
}

// On the unfair side of the fair range.
bool beyond_fair(const Gap& gap) { return gap.fair == 0 ? gap.value > gap.fair_high : gap.value < gap.fair_low; }

}  // namespace

std::vector<Gap> gaps_of(const Predictions& predictions,
                         const Scorer& scorer,
                         const Cohort& cohort,
                         const Scored& scored,
                         const Plan& plan) {
    const Permuted permuted{.within_diagnosis = permute_groups(scorer, cohort, Null::within_diagnosis, plan),
                            .over_all = permute_groups(scorer, cohort, Null::over_all, plan)};
    std::vector<Gap> gaps;
    for (const GapDefinition& d : gap_definitions()) gaps.push_back(pair_gap(d, predictions, cohort, scored, permuted));
    for (const RatioDefinition& d : ratio_definitions()) gaps.push_back(ratio_gap(d, cohort, scored, permuted));
    return gaps;
}

void correct_and_say(const std::vector<Gap*>& table, double alpha) {
    std::vector<double> p;
    for (const Gap* g : table) p.push_back(g->p);
    const std::vector<double> corrected = holm(p);
    for (size_t i = 0; i < table.size(); ++i) {
        Gap& g = *table[i];
        g.p_holm = corrected[i];
        if (std::isnan(g.p)) continue;
        if (!beyond_fair(g))
            g.verdict = "not distinguishable from a classifier that treats the groups alike";
        else if (g.p_holm > alpha)
            g.verdict = "beyond the fair range, but not after correction for the whole table";
        else
            g.verdict = "beyond what a classifier that treats the groups alike would show";
    }
}

}  // namespace fp
