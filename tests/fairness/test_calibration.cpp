#include "engine/fairness/calibration.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "engine/fairness/bootstrap.h"
#include "engine/fairness/group_pareto.h"
#include "tests/fairness/simulate.h"

namespace fp {
namespace {

using testing::add_case;
using testing::Stream;

// Two classes; the model says class 1 with probability q, and it is class 1 with probability q (group a) or with
// 1/2 + (q - 1/2) trust (group b).
Predictions trusted(double trust, int per_group, uint64_t seed) {
    Predictions p;
    p.classes = {"0", "1"};
    p.columns = {"sex"};
    p.attributes.resize(1);
    Stream stream(seed);
    for (int i = 0; i < 2 * per_group; ++i) {
        const double q = stream.next(), truth = i < per_group ? q : .5 + (q - .5) * trust;
        add_case(p, stream.next() < truth, q > .5, {1 - q, q});
        p.attributes[0].push_back(i < per_group ? "a" : "b");
    }
    return p;
}

TEST(Calibration, ByHand) {
    Predictions p;
    p.classes = {"0", "1"};
    for (const int label : {1, 1, 0, 1}) add_case(p, label, 1, {.25, .75});
    add_case(p, 0, 0, {.9, .1});
    const Calibration c = calibration_of(p);
    ASSERT_EQ(c.reliability.size(), size_t(kEceBins));
    const ReliabilityBin& b = c.reliability[size_t(ece_bin(.75))];
    EXPECT_EQ(b.samples, 4);
    EXPECT_EQ(b.confidence, .75);
    EXPECT_EQ(b.accuracy, .75);
    EXPECT_TRUE(std::isnan(c.reliability[0].accuracy));
    // Class 1: 3 of 4 at .75, 0 of 1 at .1; class 0: 1 of 4 at .25, 1 of 1 at .9.
    EXPECT_NEAR(c.class_ece[1], (0 + .1) / 5, 1e-12);
    EXPECT_NEAR(c.class_ece[0], (0 + .1) / 5, 1e-12);
    EXPECT_NEAR(c.classwise, .02, 1e-12);
    // The cases of one group alone; a class without truth is in no mean.
    const Calibration group = calibration_of(p, {0, 0, 1, 1, 1}, 0);
    EXPECT_NEAR(group.class_ece[1], .25, 1e-12);
    EXPECT_NEAR(group.classwise, .25, 1e-12);
    p.prob.clear();
    EXPECT_TRUE(calibration_of(p).reliability.empty());
}

TEST(Calibration, AGapIsFoundAndNoneIsInvented) {
    const auto gap = [](double trust) {
        const Predictions p = trusted(trust, 300, 5);
        return calibration_gap(p, by_attribute(p, "sex", 10), {.resamples = 200, .threads = 1});
    };
    const CalibrationGap unfair = gap(0);
    EXPECT_LT(unfair.p, .01);
    EXPECT_GT(unfair.value, unfair.fair_high);
    EXPECT_EQ(unfair.group_a, "b");
    EXPECT_EQ(unfair.classes, 2);
    int found = 0;
    for (uint64_t seed = 0; seed < 40; ++seed) {
        const Predictions p = trusted(1, 80, 100 + seed);
        found += calibration_gap(p, by_attribute(p, "sex", 10), {.resamples = 99, .seed = seed, .threads = 1}).p <= .05;
    }
    EXPECT_LE(found, 6);
    Predictions bare = trusted(1, 80, 1);
    bare.prob.clear();
    EXPECT_EQ(calibration_gap(bare, by_attribute(bare, "sex", 10), {}).reason, kNoProbabilities);
}

TEST(Calibration, AnEceHasNoInterval) {
    const Report report = evaluate(trusted(1, 80, 1), {"sex"}, {.resamples = 20, .threads = 1});
    const AttributeReport& sex = report.attribute("sex");
    const auto worst = std::ranges::find(sex.worst, "ece", [](const WorstGroup& w) { return w.measure.key; });
    for (const Measure& ece : {report.metric("ece"), sex.groups[0].metric("ece"), worst->measure}) {
        EXPECT_GT(ece.value, 0);
        EXPECT_TRUE(std::isnan(ece.low) && std::isnan(ece.high));
        EXPECT_NE(ece.reason.find("noise"), std::string::npos) << ece.reason;
    }
    EXPECT_FALSE(std::isnan(report.metric("accuracy").low));
}

TEST(GroupPareto, BeatenOnlyByOneThatIsAsGoodInBoth) {
    const double nan = std::nan("");
    EXPECT_EQ(dominated_over_groups({{.6, .9}, {.7, .8}, {.6, .8}, {.7, .8}, {nan, nan}}),
              (std::vector<bool>{false, false, true, false, true}));
}

TEST(GroupPareto, WorstAndMeanOverComparedGroups) {
    const Predictions p =
        testing::simulate({{{40, 40}, {1, 1}}, {{40, 40}, {0, 1}}, {{2, 2}, {0, 0}}}, 1);  // the last is too small
    const AttributeReport sex = evaluate(p, {"sex"}, {.resamples = 0}).attribute("sex");
    const GroupPoint point = group_point(sex, "balanced_accuracy");
    EXPECT_DOUBLE_EQ(point.worst, .5);
    EXPECT_DOUBLE_EQ(point.mean, .75);
    EXPECT_TRUE(std::isnan(group_point(sex, "ece").mean)) << "no probabilities";
}

}  // namespace
}  // namespace fp
