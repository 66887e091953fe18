#include "engine/fairness/gaps.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/fairness/intervals.h"

namespace fp {
namespace {

double or_zero(double rate) { return std::isnan(rate) ? 0 : rate; }
// 0 where FPR is 0/0, and then not 1 - FPR.
double tnr(const GroupFigures& f, int g, int c) { return std::isnan(f.fpr(g, c)) ? 0 : 1 - f.fpr(g, c); }
double d_tpr(const GroupFigures& f, int a, int b, int c) { return or_zero(f.tpr(a, c)) - or_zero(f.tpr(b, c)); }
double d_fpr(const GroupFigures& f, int a, int b, int c) { return or_zero(f.fpr(a, c)) - or_zero(f.fpr(b, c)); }

using F = GroupFigures;
// What class c adds to the mean over classes (of dp: to the sum), for the groups a and b.
double eopp0(const F& f, int a, int b, int c) { return std::abs(tnr(f, a, c) - tnr(f, b, c)); }
double eopp1(const F& f, int a, int b, int c) { return std::abs(d_tpr(f, a, b, c)); }
double eodd(const F& f, int a, int b, int c) { return std::abs(d_tpr(f, a, b, c) + d_fpr(f, a, b, c)) / 2; }
// Total variation distance of the rows of class c in the two confusion matrices.
double eodd_confusion(const F& f, int a, int b, int c) {
    if (!f.layout.has_confusion()) return kNotEstimable;
    double sum = 0;
    for (int j = 0; j < f.layout.classes; ++j) sum += std::abs(f.confused(a, c, j) - f.confused(b, c, j));
    return sum / 2;
}
double dp(const F& f, int a, int b, int c) { return std::abs(f.selected(a, c) - f.selected(b, c)); }
// Of those classes alone in which both groups have truth and others: NaN in the rest.
double eopp1_present(const F& f, int a, int b, int c) { return std::abs(f.tpr(a, c) - f.tpr(b, c)); }
double present_fpr(const F& f, int a, int b, int c) { return std::abs(f.fpr(a, c) - f.fpr(b, c)); }
double eodd_tnr(const F& f, int a, int b, int c) {
    return std::abs(f.tpr(a, c) - f.tpr(b, c) - (f.fpr(a, c) - f.fpr(b, c)));
}
double eodd_mean(const F& f, int a, int b, int c) { return (eopp1_present(f, a, b, c) + present_fpr(f, a, b, c)) / 2; }
double eodd_max(const F& f, int a, int b, int c) {
    const double tpr = eopp1_present(f, a, b, c), fpr = present_fpr(f, a, b, c);
    return std::isnan(tpr) || std::isnan(fpr) ? kNotEstimable : std::max(tpr, fpr);
}

template <Metric m>
double of_metric(const F& f, int a, int b) {
    return f.metric(a, m) - f.metric(b, m);
}
double macro_auc(const F& f, int a, int b) {
    return mean_of_defined(f.layout.classes, [&](int c) { return f.auc(a, c) - f.auc(b, c); });
}
double accuracy_standardised(const F& f, int a, int b) {
    double sum = 0, shares = 0;
    for (int c = 0; c < f.layout.classes; ++c) {
        const double d = f.tpr(a, c) - f.tpr(b, c);
        if (f.share[c] == 0 || std::isnan(d)) continue;
        sum += f.share[c] * d;
        shares += f.share[c];
    }
    return ratio(sum, shares);
}

struct Extremes {
    double low = std::numeric_limits<double>::infinity(), high = -low, sum = 0;
};
template <class Figure>
Extremes extremes(std::span<const int> groups, Figure figure) {
    Extremes e;
    for (int g : groups) {
        const double v = figure(g);
        if (std::isnan(v)) return {kNotEstimable, kNotEstimable, kNotEstimable};
        e.low = std::min(e.low, v);
        e.high = std::max(e.high, v);
        e.sum += v;
    }
    return e;
}

double pqd(const F& f, std::span<const int> groups) {
    const Extremes e = extremes(groups, [&](int g) { return f.metric(g, kAccuracy); });
    return ratio(e.low, e.high);
}
double nar(const F& f, std::span<const int> groups) {
    const Extremes e = extremes(groups, [&](int g) { return f.metric(g, kAccuracy); });
    return ratio(e.high - e.low, e.sum / double(groups.size()));
}
// Over the classes with truth in each group; one with 0/0 is left out.
template <class Figure>
double mean_ratio(const F& f, std::span<const int> groups, Figure figure) {
    return mean_of_defined(f.layout.classes, [&](int c) {
        if (std::isnan(extremes(groups, [&](int g) { return f.tpr(g, c); }).sum)) return kNotEstimable;
        const Extremes e = extremes(groups, [&](int g) { return figure(g, c); });
        return ratio(e.low, e.high);
    });
}
double dpm(const F& f, std::span<const int> groups) {
    return mean_ratio(f, groups, [&](int g, int c) { return f.selected(g, c); });
}
double eom(const F& f, std::span<const int> groups) {
    return mean_ratio(f, groups, [&](int g, int c) { return f.tpr(g, c); });
}

constexpr Combination kT{.tpr = 1}, kF{.fpr = 1}, kHalfSum{.tpr = .5, .fpr = .5}, kDifference{.tpr = 1, .fpr = -1},
    kSelected{.selected = 1};

constexpr ClassRange kSeen = ClassRange::seen, kPresent = ClassRange::present;

// clang-format off
constexpr GapDefinition kGaps[] = {
    {"eopp0", "mean_c |TNR_0 - TNR_1|", kSeen, eopp0, {kF}},
    {"eopp1", "mean_c |TPR_0 - TPR_1|", kSeen, eopp1, {kT}},
    {"eopp1_present", "eopp1, classes with truth in both", kPresent, eopp1_present, {kT}},
    {"eodd", "1/2 mean_c |D_T + D_F|", kSeen, eodd, {kHalfSum}},
    {"eodd_tnr", "mean_c |D_T - D_F|", kPresent, eodd_tnr, {kDifference}},
    {"eodd_mean", "mean_c (|D_T| + |D_F|)/2", kPresent, eodd_mean, {kT, kF}},
    {"eodd_max", "mean_c max(|D_T|, |D_F|)", kPresent, eodd_max, {kT, kF}, true},
    {"eodd_confusion", "mean_c TV(row c of the confusion matrices)", kPresent, eodd_confusion},
    {"dp", "sum_c |P(yhat=c|0) - P(yhat=c|1)|", kSeen, dp, {kSelected}, false, true},
    {.key = "accuracy", .formula = "|difference|", .difference = of_metric<kAccuracy>},
    {.key = "accuracy_standardised", .formula = "|sum_c w_c (TPR_0 - TPR_1)|, w_c pooled share",
     .difference = accuracy_standardised},
    {.key = "balanced_accuracy", .formula = "|difference|", .difference = of_metric<kBalancedAccuracy>},
    {.key = "macro_f1", .formula = "|difference|", .difference = of_metric<kMacroF1>},
    {.key = "macro_auc", .formula = "|mean_c (AUC_0 - AUC_1)|, classes in both", .difference = macro_auc,
     .needs_probabilities = true},
    {.key = "ece", .formula = "|difference|", .difference = of_metric<kEce>, .needs_probabilities = true},
    {.key = "sensitivity", .formula = "|difference| at the operating point", .difference = of_metric<kSensitivity>},
    {.key = "pqd", .formula = "min_g / max_g accuracy", .fair = 1, .all = pqd},
    {.key = "dpm", .formula = "mean_c min_g / max_g P(yhat=c|g)", .fair = 1, .all = dpm},
    {.key = "eom", .formula = "mean_c min_g / max_g TPR_c", .fair = 1, .all = eom},
    {.key = "nar", .formula = "(max - min) / mean of group accuracies", .all = nar},
};
// clang-format on

}  // namespace

double Combination::of(const GroupFigures& f, int a, int b, int c) const {
    double sum = 0;
    if (tpr != 0) sum += tpr * (f.tpr(a, c) - f.tpr(b, c));
    if (fpr != 0) sum += fpr * (f.fpr(a, c) - f.fpr(b, c));
    if (selected != 0) sum += selected * (f.selected(a, c) - f.selected(b, c));
    return sum;
}

std::span<const GapDefinition> gap_definitions() { return kGaps; }

bool is_wanted(const GapDefinition& gap, const OperatingPoint& point) {
    return point.positive >= 0 || std::string_view(gap.key) != kMetricDefinitions[kSensitivity].key;
}

bool as_released(std::string_view key) { return key == "eopp0" || key == "eopp1" || key == "eodd" || key == "dp"; }

double GapDefinition::pair(const GroupFigures& f, int a, int b) const {
    if (difference) return std::abs(difference(f, a, b));
    if (!sum) return mean_of_defined(classes(f), [&](int c) { return term(f, a, b, c); });
    double total = 0;
    for (int c = 0; c < classes(f); ++c) total += term(f, a, b, c);
    return total;
}

double GapDefinition::value(const GroupFigures& f, std::span<const int> groups) const {
    return all ? all(f, groups) : worst_pair(*this, f, groups).value;
}

ClassCount count_classes(const GapDefinition& gap, const GroupFigures& f, int a, int b) {
    ClassCount count{0, 0};
    if (!gap.term) return count;
    for (int c = 0; c < gap.classes(f); ++c) {
        bool absent = false;
        for (const Combination& part : gap.parts) absent |= std::isnan(part.of(f, a, b, c));
        count.absent += absent;
        count.classes += gap.span == ClassRange::seen || !absent;
    }
    return count;
}

PairValue worst_pair(const GapDefinition& gap, const GroupFigures& f, std::span<const int> groups) {
    PairValue worst{.value = kNotEstimable, .mean = 0, .a = -1, .b = -1};
    int pairs = 0;
    for (size_t i = 0; i < groups.size(); ++i) {
        for (size_t j = i + 1; j < groups.size(); ++j) {
            const double v = gap.pair(f, groups[i], groups[j]);
            if (std::isnan(v)) continue;
            worst.mean += v;
            ++pairs;
            if (worst.a < 0 || v > worst.value)
                worst = {.value = v, .mean = worst.mean, .a = groups[i], .b = groups[j]};
        }
    }
    worst.mean = ratio(worst.mean, pairs);
    return worst;
}

}  // namespace fp
