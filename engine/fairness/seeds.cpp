#include "engine/fairness/seeds.h"

#include <array>
#include <cmath>
#include <limits>
#include <numbers>

#include "kernels/error.h"

namespace fp {
namespace {

// 97.5 % of Student's t with 1, 2, ... degrees of freedom; behind the table, Cornish and Fisher's expansion.
double t_quantile(int freedom) {
    constexpr std::array<double, 10> kTable{12.7062, 4.3027, 3.1824, 2.7764, 2.5706,
                                            2.4469,  2.3646, 2.3060, 2.2622, 2.2281};
    if (freedom <= int(kTable.size())) return kTable[size_t(freedom - 1)];
    constexpr double z = 1.959964;
    const double v = freedom;
    return z + (z * z * z + z) / (4 * v) + (5 * std::pow(z, 5) + 16 * z * z * z + 3 * z) / (96 * v * v);
}

// P(|T| > t). With T = sqrt(freedom) tan(angle) its density is cos(angle)^(freedom - 1).
double two_sided_p(double t, int freedom) {
    const auto integral = [&](double from) {
        constexpr int kSteps = 2000;
        const double width = (std::numbers::pi / 2 - from) / kSteps;
        double sum = 0;
        for (int i = 0; i < kSteps; ++i) sum += std::pow(std::cos(from + (i + 0.5) * width), freedom - 1);
        return sum * width;
    };
    return integral(std::atan(t / std::sqrt(double(freedom)))) / integral(0);
}

}  // namespace

SeedSummary summarize_seeds(const std::vector<double>& values) {
    constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
    SeedSummary out{.n = 0, .mean = 0, .sd = kNaN, .low = kNaN, .high = kNaN, .p = kNaN};
    for (const double v : values)
        if (!std::isnan(v)) {
            ++out.n;
            out.mean += v;
        }
    out.mean = out.n > 0 ? out.mean / out.n : kNaN;
    if (out.n < 2) return out;
    double squares = 0;
    for (const double v : values)
        if (!std::isnan(v)) squares += (v - out.mean) * (v - out.mean);
    out.sd = std::sqrt(squares / (out.n - 1));
    const double half = t_quantile(out.n - 1) * out.sd / std::sqrt(double(out.n));
    out.low = out.mean - half;
    out.high = out.mean + half;
    const double error = out.sd / std::sqrt(double(out.n));
    if (error > 1e-12 * std::abs(out.mean)) out.p = two_sided_p(std::abs(out.mean) / error, out.n - 1);
    return out;
}

SeedSummary paired_difference(const std::vector<double>& a, const std::vector<double>& b) {
    FP_CHECK(a.size() == b.size(), "paired difference: ", a.size(), " and ", b.size(), " runs");
    std::vector<double> difference;
    for (size_t i = 0; i < a.size(); ++i) difference.push_back(a[i] - b[i]);
    return summarize_seeds(difference);
}

}  // namespace fp
