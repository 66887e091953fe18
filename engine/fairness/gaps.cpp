#include "engine/fairness/gaps.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace fp {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

double or_zero(double rate) { return std::isnan(rate) ? 0 : rate; }
// 0/0 is 0 here as well, so that it is not always 1 - FPR.
double tnr(const GroupFigures& f, int g, int c) { return std::isnan(f.fpr(g, c)) ? 0 : 1 - f.fpr(g, c); }
double d_tpr(const GroupFigures& f, int a, int b, int c) { return or_zero(f.tpr(a, c)) - or_zero(f.tpr(b, c)); }
double d_fpr(const GroupFigures& f, int a, int b, int c) { return or_zero(f.fpr(a, c)) - or_zero(f.fpr(b, c)); }

template <class Term>
double mean_over(int classes, Term term) {
    double sum = 0;
    for (int c = 0; c < classes; ++c) sum += term(c);
    return sum / classes;
}

double eopp0(const GroupFigures& f, int a, int b) {
    return mean_over(f.seen, [&](int c) { return std::abs(tnr(f, a, c) - tnr(f, b, c)); });
}
double eopp1(const GroupFigures& f, int a, int b) {
    return mean_over(f.seen, [&](int c) { return std::abs(d_tpr(f, a, b, c)); });
}
double eodd(const GroupFigures& f, int a, int b) {
    return mean_over(f.seen, [&](int c) { return std::abs(d_tpr(f, a, b, c) + d_fpr(f, a, b, c)) / 2; });
}
double eodd_tnr(const GroupFigures& f, int a, int b) {
    return mean_over(f.layout.classes, [&](int c) { return std::abs(d_tpr(f, a, b, c) - d_fpr(f, a, b, c)); });
}
double eodd_mean(const GroupFigures& f, int a, int b) {
    return mean_over(f.layout.classes,
                     [&](int c) { return (std::abs(d_tpr(f, a, b, c)) + std::abs(d_fpr(f, a, b, c))) / 2; });
}
double eodd_max(const GroupFigures& f, int a, int b) {
    return mean_over(f.layout.classes,
                     [&](int c) { return std::max(std::abs(d_tpr(f, a, b, c)), std::abs(d_fpr(f, a, b, c))); });
}
double eopp1_present(const GroupFigures& f, int a, int b) {
    double sum = 0;
    int present = 0;
    for (int c = 0; c < f.layout.classes; ++c) {
        const double d = std::abs(f.tpr(a, c) - f.tpr(b, c));
        if (std::isnan(d)) continue;
        sum += d;
        ++present;
    }
    return ratio(sum, present);
}
double dp(const GroupFigures& f, int a, int b) {
    double sum = 0;
    for (int c = 0; c < f.seen; ++c) sum += std::abs(f.selected(a, c) - f.selected(b, c));
    return sum;
}
template <int metric>
double difference(const GroupFigures& f, int a, int b) {
    return std::abs(f.metric(a, metric) - f.metric(b, metric));
}

constexpr Combination kT{.tpr = 1}, kF{.fpr = 1}, kHalfSum{.tpr = .5, .fpr = .5}, kDifference{.tpr = 1, .fpr = -1},
    kSelected{.selected = 1};

constexpr Null kWithin = Null::within_diagnosis, kOver = Null::over_all;

// clang-format off
constexpr GapDefinition kGaps[] = {
    {"eopp0", "mean_c |TNR_0 - TNR_1|", kWithin, Span::seen, eopp0, {kF}},
    {"eopp1", "mean_c |TPR_0 - TPR_1|", kWithin, Span::seen, eopp1, {kT}},
    {"eopp1_present", "eopp1, classes with truth in both", kWithin, Span::present, eopp1_present, {kT}},
    {"eodd", "1/2 mean_c |D_T + D_F|", kWithin, Span::seen, eodd, {kHalfSum}},
    {"eodd_tnr", "mean_c |D_T - D_F|", kWithin, Span::model, eodd_tnr, {kDifference}},
    {"eodd_mean", "mean_c (|D_T| + |D_F|)/2", kWithin, Span::model, eodd_mean, {kT, kF}},
    {"eodd_max", "mean_c max(|D_T|, |D_F|)", kWithin, Span::model, eodd_max, {kT, kF}, -1, true},
    {"dp", "sum_c |P(yhat=c|0) - P(yhat=c|1)|", kOver, Span::seen, dp, {kSelected}},
    {"accuracy", "|difference|", kOver, Span::metric, difference<kAccuracy>, {}, kAccuracy},
    {"balanced_accuracy", "|difference|", kWithin, Span::metric, difference<kBalancedAccuracy>, {}, kBalancedAccuracy},
    {"macro_f1", "|difference|", kOver, Span::metric, difference<kMacroF1>, {}, kMacroF1},
    {"macro_auc", "|difference|", kOver, Span::metric, difference<kMacroAuc>, {}, kMacroAuc},
    {"ece", "|difference|", kOver, Span::metric, difference<kEce>, {}, kEce},
};
// clang-format on

struct Extremes {
    double low = std::numeric_limits<double>::infinity(), high = -low, sum = 0;
};
template <class Figure>
Extremes extremes(std::span<const int> groups, Figure figure) {
    Extremes e;
    for (int g : groups) {
        const double v = figure(g);
        if (std::isnan(v)) return {kNan, kNan, kNan};
        e.low = std::min(e.low, v);
        e.high = std::max(e.high, v);
        e.sum += v;
    }
    return e;
}

double group_accuracy(const GroupFigures& f, int g) { return f.metric(g, kAccuracy); }

double pqd(const GroupFigures& f, std::span<const int> groups) {
    const Extremes e = extremes(groups, [&](int g) { return group_accuracy(f, g); });
    return ratio(e.low, e.high);
}
double nar(const GroupFigures& f, std::span<const int> groups) {
    const Extremes e = extremes(groups, [&](int g) { return group_accuracy(f, g); });
    return ratio(e.high - e.low, e.sum / double(groups.size()));
}
template <class Figure>
double mean_ratio(int classes, std::span<const int> groups, Figure figure) {
    double sum = 0;
    int estimable = 0;
    for (int c = 0; c < classes; ++c) {
        const Extremes e = extremes(groups, [&](int g) { return figure(g, c); });
        if (std::isnan(e.low) || e.high == 0) continue;
        sum += e.low / e.high;
        ++estimable;
    }
    return ratio(sum, estimable);
}
double dpm(const GroupFigures& f, std::span<const int> groups) {
    return mean_ratio(f.layout.classes, groups, [&](int g, int c) { return f.selected(g, c); });
}
double eom(const GroupFigures& f, std::span<const int> groups) {
    return mean_ratio(f.layout.classes, groups, [&](int g, int c) { return f.tpr(g, c); });
}

constexpr RatioDefinition kRatios[] = {
    {"pqd", "min_g / max_g accuracy", Null::over_all, 1, pqd},
    {"dpm", "mean_c min_g / max_g P(yhat=c|g)", Null::over_all, 1, dpm},
    {"eom", "mean_c min_g / max_g TPR_c", Null::within_diagnosis, 1, eom},
    {"nar", "(max - min) / mean of group accuracies", Null::over_all, 0, nar},
};

}  // namespace

double Combination::of(const GroupFigures& f, int a, int b, int c) const {
    double sum = 0;
    if (tpr != 0) sum += tpr * (f.tpr(a, c) - f.tpr(b, c));
    if (fpr != 0) sum += fpr * (f.fpr(a, c) - f.fpr(b, c));
    if (selected != 0) sum += selected * (f.selected(a, c) - f.selected(b, c));
    return sum;
}

std::span<const GapDefinition> gap_definitions() { return kGaps; }
std::span<const RatioDefinition> ratio_definitions() { return kRatios; }

ClassCount count_classes(const GapDefinition& gap, const GroupFigures& f, int a, int b) {
    ClassCount count{0, 0};
    if (gap.span == Span::metric) return count;
    const int classes = gap.span == Span::seen ? f.seen : f.layout.classes;
    for (int c = 0; c < classes; ++c) {
        bool absent = false;
        for (const Combination& part : gap.parts) absent |= std::isnan(part.of(f, a, b, c));
        if (gap.span == Span::present && absent) continue;
        ++count.classes;
        count.absent += absent;
    }
    return count;
}

PairValue worst_pair(const GapDefinition& gap, const GroupFigures& f, std::span<const int> groups) {
    PairValue worst{.value = kNan, .mean = 0, .a = -1, .b = -1};
    int pairs = 0;
    for (size_t i = 0; i < groups.size(); ++i) {
        for (size_t j = i + 1; j < groups.size(); ++j) {
            const double v = gap.value(f, groups[i], groups[j]);
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
