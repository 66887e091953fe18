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

// A pruned model with these test figures, compared with a dense one of accuracy 0.8.
TestResult judged(double p_accuracy, double gap_before, double gap_after, double p_gap, double accuracy) {
    const auto difference = [](const char* key, double other, double model, double p) {
        Difference d;
        d.key = key;
        d.value = model - other;
        d.other = other;
        d.model = model;
        d.p_holm = p;
        return d;
    };
    Measure balanced{.key = "balanced_accuracy", .formula = {}, .value = accuracy};
    Gap gap;
    gap.key = "eodd_mean";
    gap.value = gap_after;
    gap.fair_high = 0.1;
    AttributeReport attribute;
    attribute.name = "sex";
    attribute.gaps = {gap};
    TestResult out;
    out.pruned.classes = {"a", "b", "c", "d"};
    out.pruned.metrics = {balanced};
    out.pruned.attributes = {attribute};
    out.comparison.metrics = {difference("balanced_accuracy", 0.8, accuracy, p_accuracy)};
    AttributeComparison& compared = out.comparison.attributes.emplace_back();
    compared.name = "sex";
    compared.gaps = {difference("eodd_mean", gap_before, gap_after, p_gap)};
    return out;
}

TEST(Verdict, SaysWhatChangedAndWhatCannotBeTold) {
    const std::string better = verdict_of(judged(0.5, 0.3, 0.2, 0.01, 0.79));
    EXPECT_THAT(better, HasSubstr("Balanced accuracy: no evidence of a change"));
    EXPECT_THAT(better, HasSubstr("gap by sex: better than the dense model (0.300 to 0.200"));
    EXPECT_THAT(better, HasSubstr("more than a classifier that treats the groups alike"));
    const std::string worse = verdict_of(judged(0.01, 0.05, 0.09, 0.02, 0.6));
    EXPECT_THAT(worse, HasSubstr("Balanced accuracy: worse than the dense model"));
    EXPECT_THAT(worse, HasSubstr("gap by sex: worse than the dense model"));
    EXPECT_THAT(worse, HasSubstr("within what a classifier that treats the groups alike"));
    EXPECT_THAT(verdict_of(judged(0.01, 0.3, 0.0, 0.01, 0.26)), HasSubstr("hardly tells"));
    TestResult unknown = judged(0.5, 0.3, 0.2, 0.01, 0.79);
    unknown.comparison.attributes[0].gaps[0].p_holm = kNotEstimable;
    EXPECT_THAT(verdict_of(unknown), HasSubstr("gap by sex: not estimable"));
}

}  // namespace
}  // namespace fp
