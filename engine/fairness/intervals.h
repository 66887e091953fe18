// Intervals and p values of a figure, from its value under resamples or permutations: NaN where one of these does not
// allow an estimate. A result that cannot be estimated is NaN beside a reason: never 0, never left out.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace fp {

constexpr double kNotEstimable = std::numeric_limits<double>::quiet_NaN();

inline const char* const kNoProbabilities = "no probabilities in the predictions";

struct Interval {
    double low = kNotEstimable, high = kNotEstimable;
    std::string reason = {};  // why there is none
};

// A figure with its interval.
struct Measure {
    std::string key = {}, formula = {};
    double value = kNotEstimable, low = kNotEstimable, high = kNotEstimable;
    std::string reason = {};  // why the value, or low and high, are not estimable

    void set(Interval i) {
        low = i.low;
        high = i.high;
        reason = std::move(i.reason);
    }
};

// A figure with a permutation test, which is not corrected for the others beside it, and the square of its rms gap
// (MeanSquare).
struct TestedMeasure : Measure {
    double p = kNotEstimable;
    double fair = kNotEstimable;         // of a gap: the value of a fair classifier; 0, of a ratio 1
    double rms_squared = kNotEstimable;  // nearly unbiased, so it may be negative
    std::string rms_reason;
    std::string verdict;  // in words
};

// The mean of `term(i)` for i below `count` without those that are NaN.
template <class Term>
double mean_of_defined(int64_t count, Term term) {
    double sum = 0;
    int64_t n = 0;
    for (int64_t i = 0; i < count; ++i) {
        const double v = term(i);
        if (std::isnan(v)) continue;
        sum += v;
        ++n;
    }
    return n == 0 ? kNotEstimable : sum / double(n);
}

// Linear between the order statistics, numpy's default. Reorders `values`, which may hold no NaN.
double quantile(std::vector<double>& values, double q);

// There is no interval where more than this share of the resampled values is NaN.
constexpr double kMostUndefined = 0.05;

// Percentile bootstrap: the resampled quantiles. For figures that noise does not push to one side. kMostUndefined
// holds for the other two as well.
Interval percentile_interval(std::vector<double> resampled, double confidence);

// Basic bootstrap of a mean of absolute values, 2v - upper .. 2v - lower and not below 0. Resampling adds the
// sampling noise a second time, and absolute values turn noise into gap: where v is not above `fair_high`, or
// the resampled mean has moved from v by more than a quarter, there is no interval ("resampling noise").
Interval absolute_interval(double value, double fair_high, std::vector<double> resampled, double confidence);

// Around an unbiased value: value + quantiles of (resampled - their mean). Not cut at 0.
Interval centred_interval(double value, std::vector<double> resampled, double confidence);

// (1 + #{resampled >= seen}) / (1 + R); equal within rounding counts as equal.
double p_value(double seen, const std::vector<double>& resampled);
// The same of distances from `centre`, without the resampled values that are NaN; NaN where none is left.
double distance_p_value(double seen, double centre, std::vector<double> resampled);

int64_t erase_nan(std::vector<double>& values);  // returns how many there were

// Holm's step-down correction of a family of p values, each replaced by its corrected value. NaN stays NaN and is not
// counted.
void holm(const std::vector<double*>& family);
// The same from `p` into `p_holm` of each figure.
template <class Figure>
void correct_by_holm(const std::vector<Figure*>& family) {
    std::vector<double*> corrected;
    for (Figure* figure : family) {
        figure->p_holm = figure->p;
        corrected.push_back(&figure->p_holm);
    }
    holm(corrected);
}

// rms^2 = mean_e (g_e^2 - v_e) over signed gaps g_e, v_e the variance of resampled g_e: nearly unbiased, so it
// may be negative. `resampled[r]` holds the same statistic with the g of resample r.
//   gaps       e
//   resampled  r x e, row-major; NaN where gap e is not estimable in resample r: left out of that mean
struct MeanSquare {
    double value = kNotEstimable;
    std::vector<double> resampled = {};
};
// A figure with its value in each resample. Of a mean of squares, in which resampling noise counts twice: `resampled` has
// the part linear in the deviations from what was seen, `quadratic` that of their squares, and the figure's variance is
// var(linear) - var(quadratic), at least var(quadratic) (engine/fairness/primary_gap.h).
struct Resampled {
    double value = kNotEstimable;
    std::vector<double> resampled = {}, quadratic = {};
};

MeanSquare mean_square(const std::vector<double>& gaps, const std::vector<double>& resampled);

// Several runs that differ in their seed, summarised.
// low .. high: mean +- t_{0.975, n-1} sd / sqrt n;  p: of a mean of 0, two-sided, by Student's t. sd, low, high and
// p are NaN with fewer than two values, p also where they are all the same. Values that are NaN are left out.
struct SeedSummary {
    int n = 0;
    double mean = kNotEstimable, sd = kNotEstimable, low = kNotEstimable, high = kNotEstimable, p = kNotEstimable;
};
SeedSummary summarize_seeds(std::vector<double> values);

// The same of a[i] - b[i]: runs of one seed are pairs. Sizes must agree.
SeedSummary paired_difference(const std::vector<double>& a, const std::vector<double>& b);

// The t for which P(|T| > t) = p, by Student's t.
double t_of_p(double p, int freedom);

}  // namespace fp
