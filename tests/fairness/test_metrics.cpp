#include <gtest/gtest.h>

#include <cmath>

#include "engine/fairness/metrics.h"
#include "tests/fairness/simulate.h"
#include "tests/reference_values.h"

namespace fp {
namespace {

// Rows of (label, probabilities); the prediction is the top class.
Predictions predictions(int classes, const std::vector<std::pair<int, std::vector<double>>>& rows) {
    Predictions p;
    for (int c = 0; c < classes; ++c) p.classes.push_back(std::to_string(c));
    for (const auto& [label, prob] : rows) testing::add_case(p, label, top_class(prob.data(), classes), prob);
    return p;
}

std::vector<double> figures(const Predictions& p,
                            const std::vector<Membership>& members,
                            int groups,
                            OperatingPoint point = {}) {
    std::vector<double> row(Layout{groups, int(p.classes.size())}.width(), -7);
    Scorer(p, point).figures(members, groups, MetricSet::all, row.data());
    return row;
}
std::vector<double> figures(const Predictions& p, OperatingPoint point = {}) {
    return figures(p, std::vector<Membership>(p.size()), 1, point);
}

TEST(Metrics, HardPredictionsByHand) {
    // Class 2 has neither truth nor prediction; class 1 is never predicted.
    Tally t(3);
    t.add(0, 0, 6);
    t.add(1, 0, 2);
    const auto m = count_metrics(t);
    EXPECT_DOUBLE_EQ(m[kAccuracy], .75);
    EXPECT_DOUBLE_EQ(m[kBalancedAccuracy], .5);
    EXPECT_DOUBLE_EQ(m[kMacroPrecision], .75 / 2);
    EXPECT_DOUBLE_EQ(m[kMacroRecall], .5);
    EXPECT_DOUBLE_EQ(m[kMacroF1], 12.0 / 14 / 2);
    EXPECT_DOUBLE_EQ(t.fpr(0), 1);
    EXPECT_DOUBLE_EQ(t.selected(0), 1);
    EXPECT_TRUE(std::isnan(t.tpr(2)));
    EXPECT_DOUBLE_EQ(t.fpr(2), 0);
    EXPECT_TRUE(std::isnan(count_metrics(Tally(3))[kAccuracy]));
}

TEST(Metrics, ConfusionAndTallyAgree) {
    Predictions p;
    p.classes = {"a", "b", "c"};
    p.label = {0, 1, 2, 2, 1};
    p.pred = {0, 2, 2, 0, 2};
    const Confusion all = confusion(p), second = confusion(p, {0, 0, 1, 1, 1}, 1);
    EXPECT_EQ(all.count, (std::vector<int64_t>{1, 0, 0, 0, 0, 2, 1, 0, 1}));
    EXPECT_EQ(second.count, (std::vector<int64_t>{0, 0, 0, 0, 0, 1, 1, 0, 1}));
    const Tally t = tally(all);
    EXPECT_EQ(t.n, 5);
    EXPECT_EQ(t.truth, (std::vector<int64_t>{1, 2, 2}));
    EXPECT_EQ(t.predicted, (std::vector<int64_t>{2, 0, 3}));
    EXPECT_EQ(t.hit, (std::vector<int64_t>{1, 0, 1}));
}

TEST(Metrics, AucCountsATieAsHalf) {
    // Scores of class 1: positives .5 .8, negatives .5 .2: won pairs 3, one tie of 4 pairs: 3.5 / 4.
    const auto p = predictions(2, {{1, {.5, .5}}, {1, {.2, .8}}, {0, {.5, .5}}, {0, {.8, .2}}});
    EXPECT_DOUBLE_EQ(figures(p)[kMacroAuc], 3.5 / 4);
}

TEST(Metrics, AucNeedsBothKinds) {
    const auto p = predictions(3, {{1, {.5, .5, 0}}, {1, {.2, .8, 0}}});
    EXPECT_TRUE(std::isnan(figures(p)[kMacroAuc]));
}

TEST(Metrics, EceBinsAreClosedOnTheRight) {
    EXPECT_EQ(ece_bin(0), 0);
    EXPECT_EQ(ece_bin(1), kEceBins - 1);
    for (int b = 1; b < kEceBins; ++b) {
        const double edge = double(b) / kEceBins;
        EXPECT_EQ(ece_bin(edge), b - 1) << edge;
        EXPECT_EQ(ece_bin(std::nextafter(edge, 1.0)), b) << edge;
    }
}

TEST(Metrics, EceByHand) {
    // .62 and .65 share the bin (.6, .6667]: accuracy .5, confidence .635; .9 alone, right.
    const auto p = predictions(2, {{0, {.62, .38}}, {1, {.65, .35}}, {1, {.1, .9}}});
    EXPECT_NEAR(figures(p)[kEce], 2.0 / 3 * .135 + 1.0 / 3 * .1, 1e-15);
}

TEST(Metrics, SensitivityAtASpecificity) {
    // Class 1 by falling score: + - + - - (and two negatives tied with a positive at the end)
    const auto p = predictions(2, {{1, {.1, .9}},
                                   {0, {.2, .8}},
                                   {1, {.3, .7}},
                                   {0, {.4, .6}},
                                   {0, {.5, .5}},
                                   {1, {.9, .1}},
                                   {0, {.9, .1}},
                                   {0, {.9, .1}}});
    const auto at = [&](double specificity) { return figures(p, {1, specificity})[kSensitivity]; };
    EXPECT_DOUBLE_EQ(at(1), 1.0 / 3);
    EXPECT_DOUBLE_EQ(at(.81), 1.0 / 3);
    EXPECT_DOUBLE_EQ(at(.8), 2.0 / 3);  // one of five negatives
    EXPECT_DOUBLE_EQ(at(.4), 2.0 / 3);
    EXPECT_DOUBLE_EQ(at(0), 1);
    EXPECT_TRUE(std::isnan(figures(p)[kSensitivity]));
}

// A case that counts three times is the case written three times; groups are scored as if alone.
TEST(Metrics, WeightsAreRepeatsAndGroupsAreSubsets) {
    const testing::Formula noise("metrics");
    const int classes = 4, n = 60;
    std::vector<std::pair<int, std::vector<double>>> rows, repeated[2];
    std::vector<Membership> members;
    uint64_t next = 0;
    for (int i = 0; i < n; ++i) {
        std::vector<double> prob(classes);
        double sum = 0;
        for (double& v : prob) sum += v = std::floor(1 + 9 * noise.u(next++));  // whole numbers: many ties
        for (double& v : prob) v /= sum;
        const int label = int(classes * noise.u(next++));
        const int times = int(4 * noise.u(next++)), group = int(2 * noise.u(next++));
        rows.push_back({label, prob});
        members.push_back({uint16_t(group), uint16_t(times)});
        for (int t = 0; t < times; ++t) repeated[group].push_back({label, prob});
    }
    const OperatingPoint point{.positive = 2, .specificity = .7};
    const auto both = figures(predictions(classes, rows), members, 2, point);
    const int width = Layout{1, classes}.width();
    for (int g : {0, 1}) {
        const auto alone = figures(predictions(classes, repeated[g]), point);
        for (int i = 0; i < width; ++i)
            EXPECT_NEAR(both[g * width + i], alone[i], 1e-14) << "group " << g << " figure " << i;
    }
}

}  // namespace
}  // namespace fp
