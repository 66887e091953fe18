// What an epoch or a round is chosen by, on predictions worked by hand.
#include "engine/train/selection.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/fairness/simulate.h"

namespace fp {
namespace {

// Per group 20 images of each of two classes. Group a gives the truth .9; group b .6, and takes five images of class y
// for x.
Predictions two_groups_by_hand() {
    Predictions p;
    p.classes = {"x", "y"};
    p.columns = {"sex", "age"};
    p.attributes.resize(2);
    for (const int group : {0, 1})
        for (const int label : {0, 1})
            for (int i = 0; i < 20; ++i) {
                const bool wrong = group == 1 && label == 1 && i < 5;
                const double sure = group == 0 ? .9 : .6, y = (label == 1) != wrong ? sure : 1 - sure;
                testing::add_case(p, label, y > .5, {1 - y, y});
                p.attributes[0].push_back(group == 0 ? "a" : "b");
                p.attributes[1].push_back(group == 0 ? "30" : "70");
            }
    return p;
}

double selected(const std::string& select) { return selection_value(two_groups_by_hand(), select, {"sex", "age:60"}); }

TEST(Selection, TheWorstGroupByAnyMetric) {
    EXPECT_DOUBLE_EQ(selected("worst:sex"), 35.0 / 40);
    EXPECT_DOUBLE_EQ(selected("worst:accuracy:sex"), 35.0 / 40);
    EXPECT_DOUBLE_EQ(selected("worst:age:60"), 35.0 / 40);
    EXPECT_DOUBLE_EQ(selected("worst:balanced_accuracy:age:60"), 35.0 / 40);
    // 15 of 20 positives lie above all 20 negatives, 5 are level with them.
    EXPECT_DOUBLE_EQ(selected("worst:macro_auc:sex"), .75 + .25 / 2);
    EXPECT_NEAR(selected("worst:ece:sex"), -(35.0 / 40 - .6), 1e-12);
}

TEST(Selection, TheLargestLossOfAGroup) {
    EXPECT_NEAR(selected("minimax:sex"), (35 * std::log(.6) + 5 * std::log(.4)) / 40, 1e-12);
}

TEST(Selection, AGapAtOneThreshold) {
    // From .6 on for y: all of a's 20, 15 of b's, and no x. The same for every specificity, as the next lower
    // probability takes 20 of 40 x in.
    EXPECT_NEAR(selected("operating:y:sex"), -.25, 1e-12);
    EXPECT_NEAR(selected("operating:y@0.99:sex"), -.25, 1e-12);
    EXPECT_NEAR(selected("operating:y@0.4:sex"), 0, 1e-12);
}

}  // namespace
}  // namespace fp
