// What a set of resampled values says about the value that was seen. NaN among the resampled values is a
// resample in which the figure is not estimable; more than 5 % of these and there is no interval.
#pragma once

#include <string>
#include <vector>

namespace fp {

constexpr double kMostUndefined = 0.05;
constexpr double kMostInflation = 0.25;

struct Interval {
    double low, high;    // NaN where there is none
    std::string reason;  // and why
};

// Linear between the order statistics, as numpy's default. `values` is reordered; no NaN.
double quantile(std::vector<double>& values, double q);

// Percentile bootstrap: the resampled quantiles. For figures that noise does not push to one side.
Interval percentile_interval(std::vector<double> resampled, double confidence);

// Basic bootstrap of a mean of absolute values, 2v - upper .. 2v - lower and not below 0. Resampling adds the
// sampling noise a second time, and absolute values turn noise into gap: where v is not above `fair_high`, or
// the resampled mean has moved from v by more than a quarter, there is no interval ("resampling noise").
Interval absolute_interval(double value, double fair_high, std::vector<double> resampled, double confidence);

// Around an unbiased value: value + quantiles of (resampled - their mean). Not cut at 0.
Interval centred_interval(double value, std::vector<double> resampled, double confidence);

// (1 + #{resampled >= seen}) / (1 + R); equal within rounding counts as equal.
double p_value(double seen, const std::vector<double>& resampled);

// Holm's step-down correction, in the order given. NaN stays NaN and is not counted.
std::vector<double> holm(const std::vector<double>& p);

// rms^2 = mean_e (g_e^2 - v_e) over signed gaps g_e, v_e the variance of resampled g_e: nearly unbiased, so it
// may be negative. `resampled[r]` holds the same statistic with the g of resample r.
//   gaps       e
//   resampled  r x e, row-major; NaN where gap e is not estimable in resample r: left out of that mean
struct MeanSquare {
    double value;
    std::vector<double> resampled;
};
MeanSquare mean_square(const std::vector<double>& gaps, const std::vector<double>& resampled);

}  // namespace fp
