#include "engine/fairness/primary_gap.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <set>

#include "engine/fairness/verdict_words.h"

namespace fp {
namespace {

// The signed gap of one rate of one class between two groups.
struct WeightedGap {
    int a, b, c;
    bool fpr;
    double weight;

    double of(const GroupFigures& f) const { return fpr ? f.fpr(a, c) - f.fpr(b, c) : f.tpr(a, c) - f.tpr(b, c); }
};

struct WeightedGaps {
    std::vector<WeightedGap> all;
    int classes = 0, pairs = 0;
};

void add_gaps(WeightedGaps& out, const Cohort& cohort, bool fpr) {
    const size_t first = out.all.size();
    const auto units = [&](int g, int c) {
        const int positive = cohort.positives[g][c];
        return double(fpr ? cohort.units_of_group[g] - positive : positive);
    };
    double sum = 0;
    for (const int a : cohort.compared)
        for (const int b : cohort.compared)
            for (int c = 0; a < b && c < int(cohort.share.size()); ++c) {
                const double n = units(a, c), m = units(b, c);
                if (std::min(n, m) < kFewestUnits) continue;
                out.all.push_back({a, b, c, fpr, n * m / (n + m)});
                sum += out.all.back().weight;
            }
    for (size_t e = first; e < out.all.size(); ++e) out.all[e].weight /= 2 * sum;
}

// None where no class has a TPR or none an FPR.
WeightedGaps weighted_gaps(const Cohort& cohort) {
    WeightedGaps out;
    add_gaps(out, cohort, false);
    const size_t of_tpr = out.all.size();
    add_gaps(out, cohort, true);
    if (of_tpr == 0 || of_tpr == out.all.size()) return {};
    std::set<int> classes;
    std::set<std::pair<int, int>> pairs;
    for (const WeightedGap& gap : out.all) {
        classes.insert(gap.c);
        pairs.insert({gap.a, gap.b});
    }
    out.classes = int(classes.size());
    out.pairs = int(pairs.size());
    return out;
}

double weighted_square(const WeightedGaps& gaps, const GroupFigures& f) {
    double sum = 0;
    for (const WeightedGap& e : gaps.all)
        if (const double g = e.of(f); !std::isnan(g)) sum += e.weight * g * g;
    return sum;
}

double variance(const std::vector<double>& values) {
    double sum = 0, squares = 0;
    for (const double v : values) {
        sum += v;
        squares += v * v;
    }
    const double n = double(values.size());
    return n < 2 ? kNotEstimable : std::max(0.0, (squares - sum * sum / n) / (n - 1));
}

// rms^2 of one model, or of the first minus that of the second.
struct Square {
    double without_gap = 0, slope = 0;  // of one model, its variance for a true square t: slope * t + without_gap
    double value[2] = {kNotEstimable, 0}, noise[2] = {0, 0};  // of each model; noise: sum w v
    double sd = kNotEstimable;
    std::vector<double> linear = {}, quadratic = {};  // per resample: sum w g d, sum w d^2
};

Square square_of(const WeightedGaps& gaps, const Scored& scored) {
    const FigureRows& rows = scored.resampled;
    const size_t width = gaps.all.size();
    Square out;
    std::vector<double>&linear = out.linear, &quadratic = out.quadratic;
    linear.resize(size_t(rows.count));
    quadratic.resize(size_t(rows.count));
    for (int m = 0; m < rows.models; ++m) {
        const double sign = m == 0 ? 1 : -1;
        std::vector<double> seen(width), sum(width), squares(width), n(width);
        for (size_t e = 0; e < width; ++e) seen[e] = gaps.all[e].of(scored.seen.figures(0, m));
        for (int64_t r = 0; r < rows.count; ++r) {
            const GroupFigures figures = rows.figures(r, m);
            for (size_t e = 0; e < width; ++e) {
                const double d = gaps.all[e].of(figures) - seen[e];
                if (std::isnan(d)) continue;
                sum[e] += d;
                squares[e] += d * d;
                ++n[e];
                linear[size_t(r)] += sign * gaps.all[e].weight * seen[e] * d;
                quadratic[size_t(r)] += sign * gaps.all[e].weight * d * d;
            }
        }
        out.value[m] = weighted_square(gaps, scored.seen.figures(0, m));
        for (size_t e = 0; e < width; ++e)
            if (n[e] >= 2) out.noise[m] += gaps.all[e].weight * (squares[e] - sum[e] * sum[e] / n[e]) / (n[e] - 1);
        out.value[m] -= out.noise[m];
    }
    const double along = 4 * variance(linear), square = out.value[0] + out.noise[0];
    out.without_gap = variance(quadratic);
    out.sd = std::sqrt(std::max(out.without_gap, along - out.without_gap));
    out.slope = square > 0 ? along / square : 0;
    return out;
}

double two_sided(double z) { return std::erfc(std::abs(z) / std::numbers::sqrt2); }

// The z with two_sided(z) = 1 - confidence, by bisection.
double normal_bound(double confidence) {
    double low = 0, high = 40;
    for (int i = 0; i < 100; ++i) {
        const double middle = (low + high) / 2;
        (two_sided(middle) > 1 - confidence ? low : high) = middle;
    }
    return low;
}

// The squares t with (value - t)^2 <= z^2 (slope t + without_gap). With the variance at the value instead, values that
// are too small would have intervals that are too short.
Interval score_interval(const Square& s, double z) {
    const double value = s.value[0], shift = z * z * s.slope / 2;
    const double half = z * std::sqrt(std::max(0.0, s.slope * value + shift * s.slope / 2 + s.without_gap));
    return {value + shift - half, value + shift + half, ""};
}

std::string why_none(const WeightedGaps& gaps, const Scored& scored) {
    if (gaps.all.empty()) return fmt::format("no class with {} units in two groups", kFewestUnits);
    return scored.resampled.count < 2 ? "no resamples were asked for" : "";
}

}  // namespace

PrimaryGap primary_gap(const Cohort& cohort, const Scored& scored, const FigureRows& permuted) {
    const WeightedGaps gaps = weighted_gaps(cohort);
    PrimaryGap out{.classes = gaps.classes, .pairs = gaps.pairs, .reason = why_none(gaps, scored), .verdict = {}};
    if (!out.reason.empty()) return out;
    const Square square = square_of(gaps, scored);
    const Interval interval = score_interval(square, normal_bound(scored.confidence));
    out.rms_squared = square.value[0];
    out.rms = root(out.rms_squared);
    out.low = root(interval.low);
    out.high = root(interval.high);
    if (out.rms_squared < 0) out.reason = "smaller than noise: 0";
    std::vector<double> fair = permuted.each([&](int64_t r) { return weighted_square(gaps, permuted.figures(r)); });
    out.p = p_value(out.rms_squared + square.noise[0], fair);
    out.fair_high = root(quantile(fair, scored.confidence) - square.noise[0]);
    return out;
}

PrimaryDifference primary_difference(const Cohort& cohort, const Scored& both) {
    const WeightedGaps gaps = weighted_gaps(cohort);
    PrimaryDifference out;
    out.classes = gaps.classes;
    out.pairs = gaps.pairs;
    out.reason = why_none(gaps, both);
    if (!out.reason.empty()) return out;
    const Square square = square_of(gaps, both);
    out.model = square.value[0];
    out.other = square.value[1];
    out.value = out.model - out.other;
    out.sd = square.sd;
    const double half = normal_bound(both.confidence) * square.sd;
    out.low = out.value - half;
    out.high = out.value + half;
    constexpr double kRoundingOfSquares = 1e-12;
    if (square.sd > kRoundingOfSquares)
        out.p = two_sided(out.value / square.sd);
    else if (std::abs(out.value) < kRoundingOfSquares)
        out.p = 1;
    else
        out.reason = "all resamples are alike: no test";
    return out;
}

double primary_rms_squared(const Cohort& cohort, const Scored& scored, int model) {
    const WeightedGaps gaps = weighted_gaps(cohort);
    return why_none(gaps, scored).empty() ? square_of(gaps, scored).value[model] : kNotEstimable;
}

Resampled primary_resampled(const Cohort& cohort, const Scored& scored) {
    const WeightedGaps gaps = weighted_gaps(cohort);
    if (!why_none(gaps, scored).empty()) return {};
    Square square = square_of(gaps, scored);
    for (double& v : square.linear) v *= 2;
    return {.value = square.value[0], .resampled = std::move(square.linear), .quadratic = std::move(square.quadratic)};
}

double primary_rms_squared(const Predictions& p, const std::string& attribute, const EvaluateOptions& given) {
    const EvaluateOptions options = over_passes(given, 1);
    const Cohort cohort = by_attribute(p, attribute, options.min_group_size);
    const Scored scored = score_cohort(Scorer(p), cohort, options, MetricSet::counts);
    end_passes(given, 1);
    return primary_rms_squared(cohort, scored);
}

void set_verdicts(const std::vector<PrimaryGap*>& family, const EvaluateOptions& options) {
    correct_by_holm(family);
    for (PrimaryGap* gap : family)
        if (!std::isnan(gap->p)) gap->verdict = words_of(*gap, options);
}

void set_verdicts(const std::vector<PrimaryDifference*>& family, const EvaluateOptions& options) {
    correct_by_holm(family);
    for (PrimaryDifference* d : family)
        if (!std::isnan(d->p)) d->verdict = words_of(*d, options);
}

}  // namespace fp
