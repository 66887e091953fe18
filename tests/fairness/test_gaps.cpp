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
    std::vector<double> values, share;

    explicit Row(const std::vector<Tally>& groups, int seen_classes = -1)
        : layout{int(groups.size()), groups[0].classes()},
          seen(seen_classes < 0 ? layout.classes : seen_classes),
          values(layout.width(), std::nan("")),
          share(layout.classes) {
        double all = 0;
        for (const Tally& t : groups) all += double(t.n);
        for (int c = 0; c < layout.classes; ++c) {
            for (const Tally& t : groups) share[c] += double(t.truth[c]) / all;
            if (std::ranges::any_of(groups, [&](const Tally& t) { return t.truth[c] == 0; })) share[c] = 0;
        }
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
    GroupFigures figures() const { return {layout, seen, values.data(), share}; }
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

// Three classes; the two groups recognise each equally often, but miss class 0 in different ways.
TEST(Gaps, ConfusionMatricesThatDifferWhereRatesDoNot) {
    Row row({Tally(3), Tally(3)});
    const double shares[2][3][3] = {{{.6, .4, 0}, {.2, .8, 0}, {0, 0, 1}}, {{.6, 0, .4}, {.2, .8, 0}, {0, 0, 1}}};
    for (const int g : {0, 1})
        for (const int t : {0, 1, 2})
            for (const int p : {0, 1, 2}) row.values[size_t(row.layout.confused(g, t, p))] = shares[g][t][p];
    EXPECT_NEAR(gap("eodd_confusion", row), .4 / 3, 1e-15);
    // A class that one group lacks is left out of the mean.
    for (const int p : {0, 1, 2}) row.values[size_t(row.layout.confused(1, 1, p))] = std::nan("");
    EXPECT_NEAR(gap("eodd_confusion", row), .4 / 2, 1e-15);
    EXPECT_TRUE(std::isnan(gap("eodd_confusion", Row({Tally(17), Tally(17)}))));
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
        const Tally first = random_tally(noise, next, classes, true);
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

// The released code's oddities: 0/0 counts as 0, and classes nobody has or predicts are not averaged over. The other
// keys run over the classes with truth in both.
TEST(Gaps, AnAbsentClassCountsTheOthersFullRateInTheReleasedCodeAlone) {
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
    const ClassCount count = count_classes(gap_definitions()[1], row.figures(), 0, 1);
    EXPECT_EQ(count.classes, 2);
    EXPECT_EQ(count.absent, 1);
    for (const char* key : {"eopp0", "eopp1", "eodd", "dp"}) EXPECT_TRUE(as_released(key));
    // The second group has no case but of class 0, so there is no FPR of it, nor a TPR of another.
    for (const char* key : {"eodd_mean", "eodd_max", "eodd_tnr"}) {
        EXPECT_TRUE(std::isnan(gap(key, row))) << key;
        EXPECT_FALSE(as_released(key));
    }
    second.add(2, 2, 4);
    first.add(2, 0, 1);
    first.add(2, 2, 3);  // class 0: TPR .75 and 1, FPR .125 and 0; class 2: TPR .75 and 1, FPR 0 and 0
    const Row both({first, second}, 3);
    EXPECT_DOUBLE_EQ(gap("eodd_mean", both), ((.25 + .125) / 2 + .25 / 2) / 2);
    EXPECT_DOUBLE_EQ(gap("eodd_max", both), .25);
    EXPECT_DOUBLE_EQ(gap("eodd_tnr", both), (.25 + .125 + .25) / 2);
    const ClassCount present = count_classes(definition("eodd_mean"), both.figures(), 0, 1);
    EXPECT_EQ(present.classes, 2);
    EXPECT_EQ(present.absent, 2);
}

// A model of equal rates: accuracy differs by the case mix, the standardised one does not.
TEST(Gaps, TheStandardisedAccuracyKnowsNoCaseMix) {
    Tally a(2), b(2);
    a.add(0, 0, 90);
    a.add(0, 1, 10);
    a.add(1, 1, 5);
    a.add(1, 0, 5);
    b.add(0, 0, 9);
    b.add(0, 1, 1);
    b.add(1, 1, 50);
    b.add(1, 0, 50);
    const Row row({a, b});
    EXPECT_NEAR(gap("accuracy", row), 95.0 / 110 - 59.0 / 110, 1e-15);
    EXPECT_NEAR(gap("accuracy_standardised", row), 0, 1e-15);
    // A class without truth in a group is left out, and the shares are of the others.
    Tally c(3), d(3);
    c.add(0, 0, 6);
    c.add(0, 1, 2);
    c.add(1, 1, 2);
    c.add(2, 0, 9);
    d.add(0, 0, 4);
    d.add(1, 0, 6);
    EXPECT_NEAR(gap("accuracy_standardised", Row({c, d})), std::abs(12.0 / 20 * (.75 - 1) + 8.0 / 20 * (1 - 0)), 1e-15);
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
    // A class without truth in a group is left out.
    Tally a(3), b(3);
    a.add(0, 0, 4);
    a.add(1, 0, 4);
    b.add(0, 0, 2);
    b.add(0, 1, 2);
    const Row odd({a, b});
    EXPECT_NEAR(ratio_of("eom", odd, {0, 1}), .5, 1e-15);
    EXPECT_NEAR(ratio_of("dpm", odd, {0, 1}), .5, 1e-15);
}

TEST(Gaps, MacroAucRunsOverTheClassesOfBothGroups) {
    Tally t(3);
    for (int c = 0; c < 3; ++c) t.add(c, c, 2);
    Row row({t, t});
    const auto set = [&](int g, int c, double auc) { row.values[row.layout.auc(g, c)] = auc; };
    set(0, 0, .9);
    set(1, 0, .8);
    set(0, 1, .6);  // the second group lacks class 1
    set(0, 2, .7);
    set(1, 2, .75);
    EXPECT_NEAR(gap("macro_auc", row), .05 / 2, 1e-15);
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
