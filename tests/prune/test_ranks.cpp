// Orders of channels side by side. The values of tau are scipy 1.17.1's:
//   from scipy.stats import kendalltau
//   kendalltau([3,1,4,1,5,9,2,6,5,3], [2,7,1,8,2,8,1,8,2,8]).statistic
#include "engine/prune/ranks.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/expect_error.h"

namespace fp {
namespace {

const double kNaN = std::nan("");

TEST(Ranks, TauIsScipys) {
    EXPECT_NEAR(kendall_tau_b({3, 1, 4, 1, 5, 9, 2, 6, 5, 3}, {2, 7, 1, 8, 2, 8, 1, 8, 2, 8}), 0.13041013273932525,
                1e-12);
    EXPECT_NEAR(kendall_tau_b({1, 2, 3, 4, 5}, {3, 1, 2, 5, 4}), 0.39999999999999997, 1e-12);
    std::vector<double> a, b;
    for (int i = 0; i < 40; ++i) {
        a.push_back((i * 37) % 23);
        b.push_back((i * i + 5 * i) % 17);
    }
    EXPECT_NEAR(kendall_tau_b(a, b), -0.04220750863175359, 1e-12);
}

TEST(Ranks, TauOfOneOrderItsReverseAndNoOrder) {
    EXPECT_EQ(kendall_tau_b({1, 2, 3}, {10, 20, 21}), 1);
    EXPECT_EQ(kendall_tau_b({1, 2, 3}, {3, 2, 1}), -1);
    EXPECT_EQ(kendall_tau_b({1, kNaN, 2, 3}, {1, -9, 2, 3}), 1);
    EXPECT_TRUE(std::isnan(kendall_tau_b({1, 2, 3}, {5, 5, 5})));
    EXPECT_TRUE(std::isnan(kendall_tau_b({1}, {1})));
}

TEST(Ranks, TheLowestInCommon) {
    EXPECT_EQ(lowest_in_common({1, 2, 3, 4}, {4, 3, 2, 1}, 2), 0);
    EXPECT_EQ(lowest_in_common({1, 2, 3, 4}, {2, 9, 1, 0}, 2), 0);
    EXPECT_EQ(lowest_in_common({1, 2, 3, 4}, {2, 9, 1, 0}, 3), 2);
    EXPECT_EQ(lowest_in_common({5, 5, 5, 5}, {5, 5, 5, 5}, 2), 2);     // ties: the lower index
    EXPECT_EQ(lowest_in_common({kNaN, 2, 3, 4}, {0, 1, 2, 3}, 2), 1);  // NaN comes last
}

LayerScores layer(const char* name, const char* attribute, std::vector<double> values) {
    return {.layer = name, .attribute = attribute, .score = values, .normalized = values};
}

TEST(Ranks, FilesAreComparedByLayerAndAttributeElseBySet) {
    const ScoresFile a{
        .criterion = "snnl",
        .layers = {layer("a", "sex", {1, 2, 3, 4}), layer("a", "age", {1, 2, 3, 4}), layer("b", "sex", {1, 2, 3, 4})},
        .sets = {{"a", {1, 2, 3, 4}}}};
    const ScoresFile b{.criterion = "snnl",
                       .layers = {layer("b", "sex", {1, 2, 4, 3}), layer("a", "sex", {4, 3, 2, 1})},
                       .sets = {{"a", {4, 3, 2, 1}}}};
    const auto rows = compare_ranks(a, b, "50%");
    ASSERT_EQ(rows.size(), 2u);
    EXPECT_EQ(rows[0].layer + rows[0].attribute, "asex");
    EXPECT_EQ(rows[0].tau, -1);
    EXPECT_EQ(rows[0].lowest, 2);
    EXPECT_EQ(rows[0].common, 0);
    EXPECT_NEAR(rows[1].tau, 4.0 / 6, 1e-12);
    EXPECT_EQ(rows[1].common, 2);
    const ScoresFile l1{.criterion = "l1", .layers = {}, .sets = {{"a", {1, 2, 4, 3}}}};
    const auto sets = compare_ranks(a, l1, "3");
    ASSERT_EQ(sets.size(), 1u);
    EXPECT_EQ(sets[0].attribute, "");
    EXPECT_EQ(sets[0].lowest, 3);
    const ScoresFile other{.criterion = "l1", .layers = {}, .sets = {{"c", {1}}}};
    testing::expect_error(
        Exit::data, [&] { compare_ranks(a, other, "3"); }, "in common");
}

TEST(Ranks, TheMeanTauIsOverSetsInCommonByTheirChannels) {
    const SetScores a{{"x", {1, 2, 3, 4}}, {"y", {1, 2}}, {"z", {1, 2, 3}}, {"tied", {0, 0}}};
    const SetScores b{{"x", {1, 2, 4, 3}}, {"y", {2, 1}}, {"w", {1, 2, 3}}, {"tied", {1, 2}}};
    EXPECT_NEAR(mean_tau(a, b), (4 * (4.0 / 6) + 2 * -1.0) / 6, 1e-12);
    EXPECT_EQ(mean_tau(a, a), 1);
    EXPECT_TRUE(std::isnan(mean_tau(a, {{"w", {1, 2}}})));
}

}  // namespace
}  // namespace fp
