#include "engine/fairness/intervals.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "engine/fairness/student.h"
#include "kernels/error.h"

namespace fp {
namespace {

constexpr double kRounding = 1e-12;
constexpr double kMostInflation = 0.25;  // of the resampled mean, relative to the value

double mean(const std::vector<double>& values) {
    return mean_of_defined(int64_t(values.size()), [&](size_t i) { return values[i]; });
}

}  // namespace

double quantile(std::vector<double>& values, double q) {
    FP_CHECK(!values.empty(), "quantile of nothing");
    const double at = q * double(values.size() - 1);
    const auto below = values.begin() + std::ptrdiff_t(at);
    std::nth_element(values.begin(), below, values.end());
    if (below + 1 == values.end()) return *below;
    const double above = *std::min_element(below + 1, values.end());
    return *below + (at - std::floor(at)) * (above - *below);
}

Interval percentile_interval(std::vector<double> resampled, double confidence) {
    if (resampled.empty()) return {.reason = "no resamples were asked for"};
    const size_t all = resampled.size();
    const double undefined = double(erase_nan(resampled)) / double(all);
    if (undefined > kMostUndefined)
        return {.reason = fmt::format("not estimable in {:.0f} % of resamples", 100 * undefined)};
    const double tail = (1 - confidence) / 2;
    return {quantile(resampled, tail), quantile(resampled, 1 - tail), ""};
}

Interval absolute_interval(double value, double fair_high, std::vector<double> resampled, double confidence) {
    const double moved = std::abs(mean(resampled) - value);
    const Interval i = percentile_interval(std::move(resampled), confidence);
    if (!i.reason.empty()) return i;
    const bool above_noise = value > fair_high;  // false where it is NaN
    if (!above_noise || moved > kMostInflation * value) return {.reason = "resampling noise"};
    return {std::max(0.0, 2 * value - i.high), std::max(0.0, 2 * value - i.low), ""};
}

Interval centred_interval(double value, std::vector<double> resampled, double confidence) {
    const double centre = mean(resampled);
    const Interval i = percentile_interval(std::move(resampled), confidence);
    return {value + i.low - centre, value + i.high - centre, i.reason};
}

double p_value(double seen, const std::vector<double>& resampled) {
    const auto as_large =
        std::count_if(resampled.begin(), resampled.end(), [&](double v) { return v >= seen - kRounding; });
    return double(1 + as_large) / double(1 + resampled.size());
}

double distance_p_value(double seen, double centre, std::vector<double> resampled) {
    erase_nan(resampled);
    if (resampled.empty()) return kNotEstimable;
    for (double& v : resampled) v = std::abs(v - centre);
    return p_value(std::abs(seen - centre), resampled);
}

int64_t erase_nan(std::vector<double>& values) {
    return int64_t(std::erase_if(values, [](double v) { return std::isnan(v); }));
}

void holm(const std::vector<double*>& family) {
    std::vector<double*> rising = family;
    std::erase_if(rising, [](const double* p) { return std::isnan(*p); });
    std::ranges::stable_sort(rising, {}, [](const double* p) { return *p; });
    double floor = 0;
    for (size_t k = 0; k < rising.size(); ++k) {
        floor = std::max(floor, std::min(1.0, *rising[k] * double(rising.size() - k)));
        *rising[k] = floor;
    }
}

MeanSquare mean_square(const std::vector<double>& gaps, const std::vector<double>& resampled) {
    const size_t width = gaps.size(), count = width == 0 ? 0 : resampled.size() / width;
    std::vector<double> variance(width);
    for (size_t e = 0; e < width; ++e) {
        double sum = 0, squares = 0;
        int64_t n = 0;
        for (size_t r = 0; r < count; ++r) {
            const double d = resampled[r * width + e] - gaps[e];  // shifted: no cancellation
            if (std::isnan(d)) continue;
            sum += d;
            squares += d * d;
            ++n;
        }
        variance[e] = n < 2 ? kNotEstimable : (squares - sum * sum / double(n)) / double(n - 1);
    }
    const auto statistic = [&](const double* g) {
        return mean_of_defined(int64_t(width), [&](size_t e) { return g[e] * g[e] - variance[e]; });
    };
    MeanSquare out{.value = statistic(gaps.data())};
    for (size_t r = 0; r < count; ++r) out.resampled.push_back(statistic(&resampled[r * width]));
    return out;
}

SeedSummary summarize_seeds(std::vector<double> values) {
    erase_nan(values);
    SeedSummary out{.n = int(values.size())};
    if (out.n == 0) return out;
    out.mean = mean(values);
    if (out.n < 2) return out;
    double squares = 0;
    for (const double v : values) squares += (v - out.mean) * (v - out.mean);
    out.sd = std::sqrt(squares / (out.n - 1));
    const double half = t_quantile(0.975, out.n - 1) * out.sd / std::sqrt(double(out.n));
    out.low = out.mean - half;
    out.high = out.mean + half;
    const double error = out.sd / std::sqrt(double(out.n));
    if (error > 1e-12 * std::abs(out.mean)) out.p = two_sided_p(std::abs(out.mean) / error, out.n - 1);
    return out;
}

SeedSummary paired_difference(const std::vector<double>& a, const std::vector<double>& b) {
    FP_CHECK(a.size() == b.size(), "paired difference: ", a.size(), " and ", b.size(), " runs");
    std::vector<double> difference(a.size());
    std::ranges::transform(a, b, difference.begin(), std::minus());
    return summarize_seeds(std::move(difference));
}

double t_of_p(double p, int freedom) {
    double low = 0, high = 1;
    while (two_sided_p(high, freedom) > p) high *= 2;
    for (int i = 0; i < 60; ++i) {
        const double t = (low + high) / 2;
        (two_sided_p(t, freedom) > p ? low : high) = t;
    }
    return high;
}

}  // namespace fp
