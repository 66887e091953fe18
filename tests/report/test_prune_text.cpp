// What is said of a pruning run and of a search.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

#include "engine/report/prune_report.h"
#include "engine/report/sweep_words.h"

namespace fp {
namespace {

using ::testing::HasSubstr;

TEST(Rankings, EveryPairHasItsTauWithin80Columns) {
    std::vector<Ranking> rankings;
    for (int i = 0; i < 14; ++i)
        rankings.push_back({.name = "snnl+given-class+centre+protect=0." + std::to_string(i),
                            .scores = {{"a", {1, 2, 3, i < 2 ? 4.0 : 2.5}}}});
    rankings.push_back({.name = "elsewhere", .scores = {{"b", {1, 2}}}});
    const RankTable table = rank_table(rankings);
    EXPECT_EQ(table.tau[1], std::vector<double>{1.0});
    EXPECT_NEAR(table.tau[2][0], 4.0 / 6, 1e-12);
    EXPECT_TRUE(std::isnan(table.tau[14][3]));
    const std::string text = to_text(table);
    EXPECT_THAT(text, HasSubstr("elsewhere"));
    EXPECT_THAT(text, HasSubstr("  0.67"));
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80u) << line;
}

GapDifference difference(double mean, double p_holm) {
    return {.attribute = "sex",
            .change = {.n = 3, .mean = mean, .sd = .05, .low = mean - .12, .high = mean + .12, .p = p_holm / 2},
            .control = .2,
            .p_holm = p_holm,
            .least_change = .18};
}

TEST(Searches, NothingIsSaidOfADifferenceThatIsNotTested) {
    EXPECT_EQ(words(difference(-.1, kNotEstimable)), "");
    EXPECT_EQ(words(difference(-.1, .01)), "smaller gap");
    EXPECT_EQ(words(difference(.1, .05)), "larger gap");
}

TEST(Searches, WhatIsNotDetectedIsBoundedAndWhatCouldNotBeIsSaid) {
    // Roots of the control's .2 and of the interval's ends, .2 - .22, below 0, and .2 + .02.
    const std::string bounded =
        "no difference detected; beside the control's 0.447, a gap of 0.000 to 0.469 is not excluded";
    EXPECT_EQ(words(difference(-.1, .2)), bounded);
    GapDifference g = difference(-.1, .2);
    g.least_change = .31;
    EXPECT_EQ(words(g),
              bounded + "; no fall could have passed: rms^2 must fall by 0.3100, and the control's is 0.2000");
}

TEST(Searches, SeedsAreTuningsOfOneNetwork) {
    SweepResult r;
    EXPECT_THAT(tests_text(r), HasSubstr("1 tuning of one network tests nothing"));
    r.tunings = 3;
    r.tests = 4;
    r.t_needed = 8.86;
    EXPECT_THAT(tests_text(r), HasSubstr("4 tests of 3 tunings of one network, not of trainings, corrected by Holm; "
                                         "the first passes at |t| >= 8.86"));
    EXPECT_THAT(figures_text(3), HasSubstr("recipes/run --trainings N"));
}

}  // namespace
}  // namespace fp
