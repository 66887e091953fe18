#include <gtest/gtest.h>

#include <numeric>

#include "engine/fairness/bootstrap.h"

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

}  // namespace
}  // namespace fp
