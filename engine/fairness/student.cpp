#include "engine/fairness/student.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/error.h"

namespace fp {
namespace {

constexpr int kSteps = 300;  // even
constexpr int kHalvings = 50;

// The integral of f over low .. high by Simpson's rule.
template <class F>
double integral(double low, double high, F f) {
    const double width = (high - low) / kSteps;
    double sum = f(low) + f(high);
    for (int i = 1; i < kSteps; ++i) sum += (i % 2 == 1 ? 4 : 2) * f(low + i * width);
    return sum * width / 3;
}

// Where the rising f reaches `wanted`, between low and high.
template <class F>
double solve(double wanted, double low, double high, F f) {
    for (int i = 0; i < kHalvings && low < high; ++i) {
        const double middle = low + (high - low) / 2;
        (f(middle) < wanted ? low : high) = middle;
    }
    return low;
}

constexpr double kNearlyNormal = 1e5;  // degrees of freedom

}  // namespace

// With T = sqrt(freedom) tan(angle) its density is cos(angle)^(freedom - 1).
double two_sided_p(double t, double freedom) {
    if (freedom > kNearlyNormal) return 2 * normal_share(-t);
    constexpr double kRight = std::numbers::pi / 2;
    // From many degrees of freedom on, the mass lies at small angles.
    const double reach = std::min(kRight, 12 / std::sqrt(freedom)), from = std::atan(t / std::sqrt(freedom));
    if (from >= reach) return 0;
    const auto density = [&](double angle) { return std::pow(std::cos(angle), freedom - 1); };
    return integral(from, reach, density) / integral(0, reach, density);
}

double t_quantile(double share, double freedom) {
    FP_CHECK(share > 0 && share < 1 && freedom > 0, "t quantile ", share, " of ", freedom, " degrees of freedom");
    if (share < 0.5) return -t_quantile(1 - share, freedom);
    const double outside = 2 * (1 - share);
    // By the angle, whose range is finite.
    const double angle = solve(1 - outside, 0, std::numbers::pi / 2,
                               [&](double a) { return 1 - two_sided_p(std::sqrt(freedom) * std::tan(a), freedom); });
    return std::sqrt(freedom) * std::tan(angle);
}

double normal_share(double z) { return std::erfc(-z / std::numbers::sqrt2) / 2; }
double normal_quantile(double share) { return solve(share, -40, 40, normal_share); }

double detectable_ratio(double alpha, double power, double freedom) {
    const double critical = t_quantile(1 - alpha / 2, freedom);
    // The estimated error over the true one is s, s^2 freedom is chi-squared: density s^(freedom - 1) e^(-freedom s^2/2).
    const double spread = 1 / std::sqrt(2 * freedom);
    const double low = std::max(1e-9, 1 - 10 * spread), high = 1 + 10 * spread;
    const auto density = [&](double s) { return std::exp((freedom - 1) * std::log(s) - freedom * (s * s - 1) / 2); };
    const double mass = integral(low, high, density);
    const auto found = [&](double ratio) {
        return integral(low, high,
                        [&](double s) {
                            return density(s) *
                                   (normal_share(ratio - critical * s) + normal_share(-ratio - critical * s));
                        }) /
               mass;
    };
    return solve(power, 0, 4 * critical, found);
}

}  // namespace fp
