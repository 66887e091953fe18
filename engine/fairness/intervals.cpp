#include "engine/fairness/intervals.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "kernels/error.h"

namespace fp {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kRounding = 1e-12;

// Without the undefined ones; a reason where there are too many of them.
std::string keep_defined(std::vector<double>& values) {
    const size_t all = values.size();
    if (all == 0) return "no resamples were asked for";
    std::erase_if(values, [](double v) { return std::isnan(v); });
    const double undefined = double(all - values.size()) / double(all);
    if (undefined > kMostUndefined) return fmt::format("not estimable in {:.0f} % of resamples", 100 * undefined);
    return "";
}

double mean(const std::vector<double>& values) {
    return std::accumulate(values.begin(), values.end(), 0.0) / double(values.size());
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
    if (std::string reason = keep_defined(resampled); !reason.empty()) return {kNan, kNan, reason};
    const double tail = (1 - confidence) / 2;
    return {quantile(resampled, tail), quantile(resampled, 1 - tail), ""};
}

Interval absolute_interval(double value, double fair_high, std::vector<double> resampled, double confidence) {
    if (std::string reason = keep_defined(resampled); !reason.empty()) return {kNan, kNan, reason};
    const bool above_noise = value > fair_high;
    if (!above_noise || std::abs(mean(resampled) - value) > kMostInflation * value)
        return {kNan, kNan, "resampling noise"};
    const double tail = (1 - confidence) / 2;
    return {std::max(0.0, 2 * value - quantile(resampled, 1 - tail)),
            std::max(0.0, 2 * value - quantile(resampled, tail)), ""};
}

Interval centred_interval(double value, std::vector<double> resampled, double confidence) {
    if (std::string reason = keep_defined(resampled); !reason.empty()) return {kNan, kNan, reason};
    const double centre = mean(resampled), tail = (1 - confidence) / 2;
    return {value + quantile(resampled, tail) - centre, value + quantile(resampled, 1 - tail) - centre, ""};
}

double p_value(double seen, const std::vector<double>& resampled) {
    const auto as_large =
        std::count_if(resampled.begin(), resampled.end(), [&](double v) { return v >= seen - kRounding; });
    return double(1 + as_large) / double(1 + resampled.size());
}

std::vector<double> holm(const std::vector<double>& p) {
    std::vector<size_t> order;
    for (size_t i = 0; i < p.size(); ++i)
        if (!std::isnan(p[i])) order.push_back(i);
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] < p[b]; });

    std::vector<double> corrected(p.size(), kNan);
    double floor = 0;
    for (size_t k = 0; k < order.size(); ++k) {
        floor = std::max(floor, std::min(1.0, p[order[k]] * double(order.size() - k)));
        corrected[order[k]] = floor;
    }
    return corrected;
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
        variance[e] = n < 2 ? kNan : (squares - sum * sum / double(n)) / double(n - 1);
    }
    const auto statistic = [&](const double* g) {
        double sum = 0;
        int64_t n = 0;
        for (size_t e = 0; e < width; ++e) {
            const double term = g[e] * g[e] - variance[e];
            if (std::isnan(term)) continue;
            sum += term;
            ++n;
        }
        return n == 0 ? kNan : sum / double(n);
    };
    MeanSquare out{.value = statistic(gaps.data()), .resampled = {}};
    for (size_t r = 0; r < count; ++r) out.resampled.push_back(statistic(&resampled[r * width]));
    return out;
}

}  // namespace fp
