#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "engine/fairness/bootstrap.h"
#include "engine/fairness/compare.h"
#include "kernels/random.h"

namespace fp {
namespace {

TEST(Resample, TheBootstrapKeepsTheSizeOfEveryStratum) {
    const std::vector<int> stratum{0, 1, 0, 0, 1, 2, 0};
    const Strata strata = strata_of(stratum);
    std::vector<uint16_t> times(stratum.size());
    std::vector<double> mean(stratum.size());
    const int rounds = 4000;
    for (int r = 0; r < rounds; ++r) {
        draw_bootstrap(strata, 5, r, times);
        std::vector<int> size(3);
        for (size_t u = 0; u < stratum.size(); ++u) {
            size[stratum[u]] += times[u];
            mean[u] += times[u] / double(rounds);
        }
        EXPECT_EQ(size, (std::vector<int>{4, 2, 1}));
    }
    for (double m : mean) EXPECT_NEAR(m, 1, .07);  // 5 sd of a mean of 4,000 draws
}

TEST(Resample, PermutationsStayWithinStrata) {
    const std::vector<int> stratum{0, 0, 1, -1, 0, 1, -1};
    const std::vector<uint16_t> label{1, 2, 1, 7, 2, 3, 8};
    const Strata strata = strata_of(stratum);
    int first_moved = 0;
    const int rounds = 3000;
    for (int r = 0; r < rounds; ++r) {
        std::vector<uint16_t> permuted = label;
        permute_labels(strata, 5, r, permuted);
        EXPECT_EQ(permuted[0] + permuted[1] + permuted[4], 5);
        EXPECT_EQ(permuted[2] + permuted[5], 4);
        EXPECT_EQ(permuted[3], 7);
        EXPECT_EQ(permuted[6], 8);
        first_moved += permuted[0] == 2;
    }
    EXPECT_NEAR(first_moved / double(rounds), 2.0 / 3, .05);
}

TEST(Resample, SwapsAreFairCoins) {
    std::vector<uint16_t> swap(100);
    int swapped = 0;
    for (int r = 0; r < 1000; ++r) {
        draw_swaps(5, r, swap);
        swapped += std::accumulate(swap.begin(), swap.end(), 0);
    }
    EXPECT_NEAR(swapped / 1e5, .5, .01);
}

TEST(Resample, NumbersFollowFromSeedAndIndexAlone) {
    const Strata strata = strata_of(std::vector<int>(50, 0));
    std::vector<uint16_t> a(50), b(50), c(50);
    draw_bootstrap(strata, 1, 7, a);
    draw_bootstrap(strata, 1, 3, b);
    draw_bootstrap(strata, 1, 7, b);
    EXPECT_EQ(a, b);
    draw_bootstrap(strata, 2, 7, c);
    EXPECT_NE(a, c);
}

// 300 images of two groups and two classes, each with a right answer in three of four cases.
Predictions some_predictions(uint64_t seed) {
    Predictions p;
    p.classes = {"a", "b"};
    p.columns = {"sex"};
    p.attributes.resize(1);
    for (int i = 0; i < 300; ++i) {
        p.image.push_back(std::to_string(i));
        p.unit.push_back(p.image.back());
        p.label.push_back(i % 2);
        p.pred.push_back(uniform_double(seed, uint64_t(i)) < 0.75 ? i % 2 : 1 - i % 2);
        p.split.emplace_back("test");
        p.attributes[0].emplace_back(i % 3 == 0 ? "female" : "male");
    }
    return p;
}

TEST(Resample, ProgressRisesToAllAndChangesNothing) {
    const Predictions ours = some_predictions(1), theirs = some_predictions(2);
    std::vector<std::pair<int64_t, int64_t>> seen;
    const auto note = [&](int64_t done, int64_t all) { seen.emplace_back(done, all); };
    const auto expect_rising = [&](int64_t all) {
        ASSERT_GT(seen.size(), 4u);
        EXPECT_TRUE(std::ranges::is_sorted(seen));
        EXPECT_EQ(seen.front(), std::pair(int64_t(0), all));
        EXPECT_EQ(seen.back(), std::pair(all, all));
        EXPECT_EQ(std::ranges::count(seen, seen.back()), 1);
        seen.clear();
    };
    const Report plain = evaluate(ours, {"sex"}, {.resamples = 500}),
                 shown = evaluate(ours, {"sex"}, {.resamples = 500, .progress = note});
    expect_rising(1500);
    EXPECT_EQ(shown.metric("accuracy").low, plain.metric("accuracy").low);
    EXPECT_EQ(shown.attribute("sex").gap("eodd").p, plain.attribute("sex").gap("eodd").p);
    EXPECT_EQ(shown.attribute("sex").gap("eodd").fair_high, plain.attribute("sex").gap("eodd").fair_high);
    EXPECT_FALSE(shown.options.progress);
    const Comparison compared = compare(ours, theirs, {"sex"}, {.resamples = 500, .progress = note});
    expect_rising(2000);
    EXPECT_EQ(compared.metrics[0].p, compare(ours, theirs, {"sex"}, {.resamples = 500}).metrics[0].p);
    // The groups are too small for gaps, so some passes are left out.
    evaluate(ours, {"sex"}, {.resamples = 500, .min_group_size = 299, .progress = note});
    expect_rising(1500);
}

TEST(Resample, WhatProgressThrowsEndsIt) {
    struct Enough {};
    const auto stop = [](int64_t done, int64_t) {
        if (done > 10) throw Enough{};
    };
    EXPECT_THROW(evaluate(some_predictions(1), {"sex"}, {.resamples = 100'000, .progress = stop}), Enough);
}

}  // namespace
}  // namespace fp
