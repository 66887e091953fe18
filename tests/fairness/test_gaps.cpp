#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "engine/fairness/gaps.h"
#include "tests/reference_values.h"

namespace fp {
namespace {

// A row of figures from confusion matrices, one a group.
struct Row {
    Layout layout;
    int seen;
    std::vector<double> values;

    explicit Row(const std::vector<Tally>& groups, int seen_classes = -1)
        : layout{int(groups.size()), groups[0].classes()},
          seen(seen_classes < 0 ? layout.classes : seen_classes),
          values(layout.width(), std::nan("")) {
        for (int g = 0; g < layout.groups; ++g) {
            const auto metrics = count_metrics(groups[g]);
            for (const int m : {kAccuracy, kBalancedAccuracy}) values[layout.metric(g, m)] = metrics[m];
            for (int c = 0; c < layout.classes; ++c) {
                values[layout.tpr(g, c)] = groups[g].tpr(c);
                values[layout.fpr(g, c)] = groups[g].fpr(c);
                values[layout.selected(g, c)] = groups[g].selected(c);
            }
        }
    }
    GroupFigures figures() const { return {layout, seen, values.data()}; }
};

const GapDefinition& definition(std::string_view key) {
    const auto all = gap_definitions();
    const auto found = std::find_if(all.begin(), all.end(), [&](const GapDefinition& g) { return g.key == key; });
    EXPECT_NE(found, all.end()) << key;
    return *found;
}
double gap(const char* key, const Row& row, int a = 0, int b = 1) { return definition(key).pair(row.figures(), a, b); }
double ratio_of(const char* key, const Row& row, std::vector<int> groups) {
    return definition(key).value(row.figures(), groups);
}

// Two classes, 10 of each a group, class 1 the positive one.
Tally binary(int true_positives, int false_positives) {
    Tally t(2);
    t.add(1, 1, true_positives);
    t.add(1, 0, 10 - true_positives);
    t.add(0, 1, false_positives);
    t.add(0, 0, 10 - false_positives);
    return t;
}

// docs/method.md, 9: opposite signs cancel in eodd. One group is better on both counts, yet eodd sees nothing.
TEST(Gaps, OppositeGapsCancelInEodd) {
    const Row row({binary(8, 1), binary(6, 3)});
    EXPECT_NEAR(gap("eodd", row), 0, 1e-15);
    EXPECT_NEAR(gap("eodd_tnr", row), .4, 1e-15);
    EXPECT_NEAR(gap("eodd_mean", row), .2, 1e-15);
    EXPECT_NEAR(gap("eodd_max", row), .2, 1e-15);
    EXPECT_NEAR(gap("dp", row), 0, 1e-15);
    EXPECT_NEAR(gap("accuracy", row), .2, 1e-15);
}

Tally random_tally(const testing::Formula& noise, uint64_t& next, int classes, bool all_present) {
    Tally t(classes);
    for (int i = 0; i < 40; ++i) {
        const int label = all_present && i < classes ? i : int(classes * noise.u(next++));
        const int pred = int(classes * noise.u(next++));
        t.add(label, pred, 1 + int(3 * noise.u(next++)));
    }
    return t;
}

TEST(Gaps, OrderAndIdentitiesHold) {
    const testing::Formula noise("gaps");
    uint64_t next = 0;
    for (int round = 0; round < 200; ++round) {
        const int classes = 2 + round % 7;
        const Tally first = random_tally(noise, next, classes, round % 2);
        const Row row({first, random_tally(noise, next, classes, true)});
        const double eodd = gap("eodd", row), mean = gap("eodd_mean", row), max = gap("eodd_max", row);
        EXPECT_LE(eodd, mean + 1e-15);
        EXPECT_LE(mean, max + 1e-15);
        EXPECT_LE(max, 2 * mean + 1e-15);
        EXPECT_NEAR(mean, (gap("eopp0", row) + gap("eopp1", row)) / 2, 1e-15);
        // For one class alone max(eodd, eodd_tnr / 2) = eodd_mean; for a mean of classes it is a bound.
        EXPECT_LE(std::max(eodd, gap("eodd_tnr", row) / 2), mean + 1e-15);
        for (const GapDefinition& g : gap_definitions()) {
            if (g.all) continue;
            const double there = g.pair(row.figures(), 0, 1), back = g.pair(row.figures(), 1, 0);
            if (std::isnan(there)) continue;
            EXPECT_EQ(there, back) << g.key;
            EXPECT_EQ(g.pair(row.figures(), 1, 1), 0) << g.key;
        }
    }
}

TEST(Gaps, PerClassIdentityOfEodd) {
    const testing::Formula noise("per class");
    for (int round = 0; round < 50; ++round) {
        const int a = int(11 * noise.u(4 * round)), b = int(11 * noise.u(4 * round + 1));
        const int c = int(11 * noise.u(4 * round + 2)), d = int(11 * noise.u(4 * round + 3));
        const Row row({binary(a, b), binary(c, d)});  // both classes of a binary problem agree
        EXPECT_NEAR(std::max(gap("eodd", row), gap("eodd_tnr", row) / 2), gap("eodd_mean", row), 1e-15);
    }
}

// The released code's oddities: 0/0 counts as 0, and classes nobody has or predicts are not averaged over.
TEST(Gaps, AnAbsentClassCountsTheOthersFullRate) {
    Tally first(4), second(4);
    first.add(0, 0, 3);
    first.add(0, 1, 1);
    first.add(1, 1, 4);
    second.add(0, 0, 4);
    const Row row({first, second}, 2);
    EXPECT_DOUBLE_EQ(gap("eopp1", row), (.25 + 1) / 2);
    EXPECT_DOUBLE_EQ(gap("eopp1_present", row), .25);
    // TNR: class 0: first 1, second 0/0 = 0; class 1: first .75, second 1.
    EXPECT_DOUBLE_EQ(gap("eopp0", row), (1 + .25) / 2);
    EXPECT_DOUBLE_EQ(gap("eodd_mean", row),
                     (.25 + 1 + 0 + .25) / 2 / 4);  // all four classes of the model
    const ClassCount count = count_classes(gap_definitions()[1], row.figures(), 0, 1);
    EXPECT_EQ(count.classes, 2);
    EXPECT_EQ(count.absent, 1);
}

TEST(Gaps, MoreThanTwoGroupsTakeTheWorstPair) {
    const Row row({binary(8, 1), binary(7, 1), binary(5, 1)});
    const auto& eopp1 = gap_definitions()[1];
    ASSERT_STREQ(eopp1.key, "eopp1");
    const std::vector<int> all{0, 1, 2}, two{0, 1};
    const PairValue worst = worst_pair(eopp1, row.figures(), all);
    EXPECT_EQ(worst.a, 0);
    EXPECT_EQ(worst.b, 2);
    EXPECT_NEAR(worst.value, .15, 1e-15);  // (.3 + 0) / 2 classes
    EXPECT_NEAR(worst.mean, (.05 + .15 + .1) / 3, 1e-15);
    EXPECT_NEAR(worst_pair(eopp1, row.figures(), two).value, .05, 1e-15);
}

TEST(Gaps, RatiosByHand) {
    const Row row({binary(8, 2), binary(6, 4), binary(5, 5)});  // accuracies .8 .6 .5
    const std::vector<int> all{0, 1, 2};
    EXPECT_NEAR(ratio_of("pqd", row, all), .5 / .8, 1e-15);
    EXPECT_NEAR(ratio_of("nar", row, all), .3 / (1.9 / 3), 1e-15);
    EXPECT_NEAR(ratio_of("dpm", row, all), 1, 1e-15);  // each group predicts half and half
    EXPECT_NEAR(ratio_of("eom", row, all), (.5 / .8 + .5 / .8) / 2, 1e-15);
    // A class without truth in a group is left out of eom, one that nobody predicts out of dpm.
    Tally a(3), b(3);
    a.add(0, 0, 4);
    a.add(1, 0, 4);
    b.add(0, 0, 2);
    b.add(0, 1, 2);
    const Row odd({a, b});
    EXPECT_NEAR(ratio_of("eom", odd, {0, 1}), .5, 1e-15);
    EXPECT_NEAR(ratio_of("dpm", odd, {0, 1}), (.5 + 0) / 2, 1e-15);
}

TEST(Gaps, NotEstimableIsNaN) {
    Tally a(2), b(2);
    a.add(0, 0, 3);
    b.add(1, 1, 3);
    EXPECT_TRUE(std::isnan(gap("eopp1_present", Row({a, b}))));
    EXPECT_TRUE(std::isnan(gap("macro_auc", Row({a, b}))));
}

}  // namespace
}  // namespace fp
