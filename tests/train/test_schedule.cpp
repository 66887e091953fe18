#include "engine/train/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/expect_error.h"

namespace fp {
namespace {

TEST(Schedule, every_kind_by_hand) {
    EXPECT_DOUBLE_EQ(learning_rate({.kind = "constant", .lr = 0.4}, 7.5, 10), 0.4);
    const ScheduleOptions step{.kind = "step", .lr = 1, .step = 3, .gamma = 0.5};
    EXPECT_DOUBLE_EQ(learning_rate(step, 2.99, 10), 1);
    EXPECT_DOUBLE_EQ(learning_rate(step, 6, 10), 0.25);
    const ScheduleOptions multistep{.kind = "multistep", .lr = 1, .milestones = {2, 5}, .gamma = 0.1};
    EXPECT_DOUBLE_EQ(learning_rate(multistep, 1.9, 10), 1);
    EXPECT_DOUBLE_EQ(learning_rate(multistep, 2, 10), 0.1);
    EXPECT_DOUBLE_EQ(learning_rate(multistep, 9, 10), 0.01);
    const ScheduleOptions cosine{.kind = "cosine", .lr = 1, .final_lr = 0.2};
    EXPECT_DOUBLE_EQ(learning_rate(cosine, 0, 10), 1);
    EXPECT_DOUBLE_EQ(learning_rate(cosine, 5, 10), 0.6);
    EXPECT_DOUBLE_EQ(learning_rate(cosine, 10, 10), 0.2);
    const ScheduleOptions polynomial{.kind = "polynomial", .lr = 1, .final_lr = 0.5, .power = 2};
    EXPECT_DOUBLE_EQ(learning_rate(polynomial, 5, 10), 0.625);
    testing::expect_error(
        Exit::usage, [] { ScheduleOptions{.kind = "exponential"}; }, "schedule `exponential`", "cosine");
}

TEST(Schedule, warm_up_rises_and_the_rest_of_the_epochs_is_the_cosines) {
    const ScheduleOptions o{.kind = "cosine", .lr = 1, .warmup = 2};
    EXPECT_DOUBLE_EQ(learning_rate(o, 0, 10), 0.01);
    EXPECT_DOUBLE_EQ(learning_rate(o, 1, 10), 0.505);
    EXPECT_DOUBLE_EQ(learning_rate(o, 2, 10), 1);
    EXPECT_DOUBLE_EQ(learning_rate(o, 6, 10), 0.5);
}

TEST(Schedule, plateau_drops_after_epochs_without_a_better_one) {
    const ScheduleOptions o{.kind = "plateau", .lr = 1, .gamma = 0.1, .patience = 2};
    Plateau seen;
    std::vector<double> rates;
    for (const double value : {0.5, 0.6, 0.6, std::nan(""), 0.55, 0.7, 0.1, 0.2, 0.3, 0.4}) {
        seen.see(value, o.patience);
        rates.push_back(learning_rate(o, 0, 10, seen));
    }
    const std::vector<double> wanted{1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.001};
    for (size_t i = 0; i < wanted.size(); ++i) EXPECT_NEAR(rates[i], wanted[i], 1e-15) << i;
}

}  // namespace
}  // namespace fp
