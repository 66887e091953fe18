#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "engine/fairness/intervals.h"

namespace fp {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

std::vector<double> ramp(int n) {
    std::vector<double> v(n);
    std::iota(v.begin(), v.end(), 0.0);
    std::swap(v.front(), v.back());
    return v;
}

TEST(Intervals, QuantilesAreLinearBetweenOrderStatistics) {
    std::vector<double> v{10, 1, 4, 2};  // numpy.quantile([1, 2, 4, 10], q)
    EXPECT_DOUBLE_EQ(quantile(v, 0), 1);
    EXPECT_DOUBLE_EQ(quantile(v, .25), 1.75);
    EXPECT_DOUBLE_EQ(quantile(v, .5), 3);
    EXPECT_DOUBLE_EQ(quantile(v, .9), 8.2);
    EXPECT_DOUBLE_EQ(quantile(v, 1), 10);
}

TEST(Intervals, PercentileIsTheMiddleOfTheResamples) {
    const Interval i = percentile_interval(ramp(1001), .95);
    EXPECT_NEAR(i.low, 25, 1e-10);
    EXPECT_NEAR(i.high, 975, 1e-10);
    EXPECT_EQ(i.reason, "");
}

TEST(Intervals, UndefinedResamplesAreLeftOutUntilTheyAreTooMany) {
    std::vector<double> v = ramp(95);
    v.resize(100, kNan);
    EXPECT_EQ(percentile_interval(v, .95).reason, "");
    v = ramp(94);
    v.resize(100, kNan);
    const Interval i = percentile_interval(v, .95);
    EXPECT_TRUE(std::isnan(i.low) && std::isnan(i.high));
    EXPECT_EQ(i.reason, "not estimable in 6 % of resamples");
    EXPECT_EQ(percentile_interval({}, .95).reason, "no resamples were asked for");
}

TEST(Intervals, AbsoluteGapsAreTurnedAroundAndCutAtZero) {
    const Interval i = absolute_interval(1, .5, {.8, 1, 1, 1, 1.2}, 1);
    EXPECT_DOUBLE_EQ(i.low, .8);
    EXPECT_DOUBLE_EQ(i.high, 1.2);
    EXPECT_DOUBLE_EQ(absolute_interval(1, .5, {.2, .2, 1, 1, 2.5}, 1).low, 0);  // 2 - 2.5
}

TEST(Intervals, NoIntervalWhereAbsoluteValuesAreMostlyNoise) {
    EXPECT_EQ(absolute_interval(.5, .5, {.5, .5}, .95).reason, "resampling noise");
    EXPECT_EQ(absolute_interval(1, .5, {1.2, 1.31}, .95).reason, "resampling noise");
    EXPECT_EQ(absolute_interval(1, .5, {1.2, 1.3}, .95).reason, "");
}

TEST(Intervals, CentredOnTheValue) {
    const Interval i = centred_interval(-1, {4, 5, 6, 9}, 1);  // mean 6
    EXPECT_DOUBLE_EQ(i.low, -3);
    EXPECT_DOUBLE_EQ(i.high, 2);
}

TEST(Intervals, PValueCountsTheSeenOne) {
    EXPECT_DOUBLE_EQ(p_value(3, {1, 2, 3, 4}), 3.0 / 5);
    EXPECT_DOUBLE_EQ(p_value(9, {1, 2, 3, 4}), 1.0 / 5);
    EXPECT_DOUBLE_EQ(p_value(.1 + .2, {.3}), 1);  // equal but for rounding
}

TEST(Intervals, HolmByHand) {
    // sorted .01 .02 .03 .5, times 4 3 2 1, running maximum
    std::vector<double> h{.03, .01, kNan, .5, .02}, two{.9, .8};
    holm({&h[0], &h[1], &h[2], &h[3], &h[4]});
    EXPECT_DOUBLE_EQ(h[0], .06);
    EXPECT_DOUBLE_EQ(h[1], .04);
    EXPECT_TRUE(std::isnan(h[2]));
    EXPECT_DOUBLE_EQ(h[3], .5);
    EXPECT_DOUBLE_EQ(h[4], .06);
    holm({&two[0], &two[1]});
    EXPECT_DOUBLE_EQ(two[1], 1);
}

TEST(Intervals, MeanSquareTakesTheNoiseOff) {
    // Two gaps, three resamples: variances 1 and .25.
    const MeanSquare m = mean_square({2, 0}, {1, .5, 2, 0, 3, -.5});
    EXPECT_DOUBLE_EQ(m.value, ((4 - 1) + (0 - .25)) / 2);
    ASSERT_EQ(m.resampled.size(), 3u);
    EXPECT_DOUBLE_EQ(m.resampled[0], ((1 - 1) + (.25 - .25)) / 2);
    // A gap that is missing in a resample is left out of its mean.
    const MeanSquare n = mean_square({2, 0}, {1, kNan, 2, 0, 3, 1});
    EXPECT_DOUBLE_EQ(n.resampled[0], 0);
    EXPECT_DOUBLE_EQ(n.resampled[2], ((9 - 1) + (1 - .5)) / 2);
}

}  // namespace
}  // namespace fp
