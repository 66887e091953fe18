#include "engine/data/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "engine/io/one_of.h"
#include "kernels/random.h"
#include "tests/expect_error.h"

namespace fp {
namespace {

// Classes 70/20/10; groups -1 (5%), 0 and 1 with 1 rare in class 0.
struct Population {
    std::vector<int> labels, groups;
    explicit Population(int64_t n) {
        for (int64_t i = 0; i < n; ++i) {
            const float a = uniform(key_of(5), uint64_t(i)), b = uniform(key_of(6), uint64_t(i));
            labels.push_back(a < 0.7f ? 0 : a < 0.9f ? 1 : 2);
            groups.push_back(b < 0.05f ? -1 : b < (labels.back() == 0 ? 0.9f : 0.5f) ? 0 : 1);
        }
    }
};

TEST(Sampler, NamesReadBack) {
    for (const Sampling* how : Sampling::all()) EXPECT_EQ(named<Sampling>(how->name), *how);
    testing::expect_error(
        Exit::usage, [] { named<Sampling>("random"); },
        "sampler `random` is not one of shuffled, class, group, class-group");
}

TEST(Sampler, ShuffledIsAPermutationKeyedBySeedAndEpoch) {
    const std::vector<int> labels(1000, 0);
    const auto order = [&](uint64_t seed, uint64_t epoch) {
        return epoch_order(Sampling::shuffled, labels, {}, seed, epoch);
    };
    auto sorted = order(1, 1);
    EXPECT_EQ(sorted, order(1, 1));
    EXPECT_NE(sorted, order(1, 2));
    EXPECT_NE(sorted, order(2, 1));
    EXPECT_FALSE(std::is_sorted(sorted.begin(), sorted.end()));
    std::sort(sorted.begin(), sorted.end());
    EXPECT_EQ(sorted, epoch_order(Sampling::order, labels, {}, 1, 1));
    EXPECT_EQ(sorted.front(), 0);
    EXPECT_EQ(sorted.back(), 999);
}

// Each of 5 things lands on each of 5 places equally often: chi^2 with 16 degrees of freedom below its
// 99.99 % point.
TEST(Sampler, EveryPlaceIsEquallyLikely) {
    const std::vector<int> labels(5, 0);
    double seen[5][5] = {};
    const int trials = 20'000;
    for (int t = 0; t < trials; ++t) {
        const auto order = epoch_order(Sampling::shuffled, labels, {}, 3, uint64_t(t));
        for (size_t i = 0; i < 5; ++i) ++seen[i][order[i]];
    }
    double chi2 = 0;
    for (const auto& row : seen)
        for (const double count : row) chi2 += (count - trials / 5.0) * (count - trials / 5.0) / (trials / 5.0);
    EXPECT_LT(chi2, 44.0);
}

// How often ten epochs visit each cell, at [3 class + group]; unknown groups are the last column of three.
std::vector<int64_t> visits(const Population& p, const Sampling& how) {
    std::vector<int64_t> count(9, 0);
    for (uint64_t epoch = 0; epoch < 10; ++epoch) {
        const auto order = epoch_order(how, p.labels, p.groups, 7, epoch);
        EXPECT_EQ(order.size(), p.labels.size());
        for (const int64_t i : order)
            ++count[size_t(3 * p.labels[size_t(i)] + (p.groups[size_t(i)] < 0 ? 2 : p.groups[size_t(i)]))];
    }
    return count;
}

TEST(Sampler, BalancesClasses) {
    const Population p(3000);
    const auto count = visits(p, Sampling::class_balanced);
    for (size_t c = 0; c < 3; ++c)
        EXPECT_NEAR(double(count[3 * c] + count[3 * c + 1] + count[3 * c + 2]) / 30'000, 1 / 3.0, 0.012);
}

TEST(Sampler, BalancesGroupsAndLeavesUnknownItsShare) {
    const Population p(3000);
    const double lost = double(std::count(p.groups.begin(), p.groups.end(), -1)) / 3000;
    for (const auto how : {Sampling::group_balanced, Sampling::class_group_balanced}) {
        const auto count = visits(p, how);
        const auto share = [&](size_t g) { return double(count[g] + count[3 + g] + count[6 + g]) / 30'000; };
        EXPECT_NEAR(share(0), share(1), 0.02);
        EXPECT_NEAR(share(2), lost, 0.006);
        if (how != Sampling::class_group_balanced) continue;
        for (const size_t cell : {0, 1, 3, 4, 6, 7})
            EXPECT_NEAR(double(count[cell]) / 30'000, (1 - lost) / 6, 0.012) << cell;
    }
}

// Within a cell every member has the same chance.
TEST(Sampler, DrawsEvenlyWithinAClass) {
    const std::vector<int> labels = {0, 0, 0, 0, 1};
    std::vector<double> seen(5, 0);
    for (uint64_t epoch = 0; epoch < 8000; ++epoch)
        for (const int64_t i : epoch_order(Sampling::class_balanced, labels, {}, 1, epoch)) ++seen[size_t(i)];
    for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(seen[i] / 40'000, 1 / 8.0, 0.01);
    EXPECT_NEAR(seen[4] / 40'000, 1 / 2.0, 0.015);
}

TEST(Sampler, EdgesAreDefined) {
    for (const auto how : {Sampling::order, Sampling::shuffled, Sampling::class_group_balanced})
        EXPECT_TRUE(epoch_order(how, {}, {}, 1, 1).empty());
    const std::vector<int> labels = {0, 1, 1}, unknown = {-1, -1, -1};
    for (const int64_t i : epoch_order(Sampling::group_balanced, labels, unknown, 1, 1)) EXPECT_TRUE(i >= 0 && i < 3);
    EXPECT_THROW(epoch_order(Sampling::group_balanced, labels, {}, 1, 1), Error);
}

}  // namespace
}  // namespace fp
