// What is said of a pruning run and of a search.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

#include "engine/report/prune_report.h"

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

}  // namespace
}  // namespace fp
