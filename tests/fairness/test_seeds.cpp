#include "engine/fairness/intervals.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace fp {
namespace {

TEST(Seeds, MeanAndInterval) {
    // 1 2 3 4 5: sd sqrt 2.5; t of 4 degrees of freedom is 2.7764.
    const SeedSummary s = summarize_seeds({1, 2, 3, 4, 5});
    EXPECT_EQ(s.mean, 3);
    EXPECT_NEAR(s.sd, std::sqrt(2.5), 1e-12);
    EXPECT_NEAR(s.high - s.mean, 2.7764 * std::sqrt(0.5), 1e-4);
    EXPECT_NEAR(s.mean - s.low, s.high - s.mean, 1e-12);
}

TEST(Seeds, OneSeedHasNoInterval) {
    const SeedSummary s = summarize_seeds({0.5, std::nan("")});
    EXPECT_EQ(s.n, 1);
    EXPECT_EQ(s.mean, 0.5);
    EXPECT_TRUE(std::isnan(s.sd) && std::isnan(s.low));
    EXPECT_TRUE(std::isnan(summarize_seeds({}).mean));
}

TEST(Seeds, ManyDegreesOfFreedomMeetTheTables) {
    // t_{0.975} of 20 degrees of freedom is 2.0860.
    std::vector<double> values(21, 0.0);
    values[0] = 1;
    const SeedSummary s = summarize_seeds(values);
    EXPECT_NEAR((s.high - s.mean) / (s.sd / std::sqrt(21.0)), 2.0860, 1e-3);
}

TEST(Seeds, PByStudentsT) {
    // One degree of freedom is Cauchy's distribution: p = 1 - 2 atan(t) / pi; two: p = 1 - t / sqrt(t^2 + 2).
    EXPECT_NEAR(summarize_seeds({0.1, 0.12}).p, 1 - 2 * std::atan(11.0) / std::numbers::pi, 1e-6);
    const SeedSummary three = summarize_seeds({1, 2, 4});
    const double t = three.mean / (three.sd / std::sqrt(3.0));
    EXPECT_NEAR(three.p, 1 - t / std::sqrt(t * t + 2), 1e-6);
    EXPECT_NEAR(summarize_seeds({-1, 0, 1}).p, 1, 1e-9);
    // t_{0.975} of 4 degrees of freedom
    EXPECT_NEAR(summarize_seeds({1 + 2.776445, 2 + 2.776445, 3 + 2.776445, 4 + 2.776445, 2.776445 - 10}).p,
                summarize_seeds({-1 - 2.776445, -2 - 2.776445, -3 - 2.776445, -4 - 2.776445, 10 - 2.776445}).p, 1e-12);
    EXPECT_TRUE(std::isnan(summarize_seeds({0.3, 0.3, 0.3}).p)) << "nothing to go by";
    EXPECT_TRUE(std::isnan(summarize_seeds({0.3}).p));
}

TEST(Seeds, PairsAreSubtractedFirst) {
    const SeedSummary s = paired_difference({1.1, 5.1, 9.1}, {1, 5, 9});
    EXPECT_NEAR(s.mean, 0.1, 1e-12);
    EXPECT_NEAR(s.sd, 0, 1e-12);
}

TEST(Seeds, TheTThatAPNeeds) {
    EXPECT_NEAR(t_of_p(.05, 2), 4.3027, 1e-3);
    EXPECT_NEAR(t_of_p(.05 / 24, 2), 21.9, .05);  // three trainings and 24 tests
    EXPECT_NEAR(t_of_p(.05 / 85, 2), 41.2, .05);
    EXPECT_NEAR(t_of_p(.05, 1000), 1.9623, 1e-3);
}

}  // namespace
}  // namespace fp
