#include "engine/prune/attribute_weights.h"

#include <gtest/gtest.h>

#include <cmath>

namespace fp {
namespace {

// Four rows whose losses are 1, 1, 3 and 3; "sex" splits them so, "side" across.
Predictions rows() {
    Predictions p;
    p.classes = {"a", "b"};
    p.image = {"1", "2", "3", "4"};
    p.unit = p.image;
    p.label = {0, 0, 0, 0};
    p.pred = {0, 0, 1, 1};
    for (const double loss : {1, 1, 3, 3}) {
        p.prob.push_back(std::exp(-loss));
        p.prob.push_back(1 - std::exp(-loss));
    }
    p.split.assign(4, "val");
    p.columns = {"sex", "side"};
    p.attributes = {{"f", "f", "m", "m"}, {"l", "r", "l", "r"}};
    return p;
}

TEST(AttributeWeights, DisparityIsTheVarianceOfGroupLossesOverTheirMeanSquared) {
    EXPECT_NEAR(loss_disparity(rows(), "sex"), 1.0 / 4, 1e-12);  // losses 1 and 3
    EXPECT_NEAR(loss_disparity(rows(), "side"), 0, 1e-12);       // 2 and 2
    Predictions one = rows();
    one.attributes[0] = {"f", "f", "unknown", ""};
    EXPECT_EQ(loss_disparity(one, "sex"), 0);
}

TEST(AttributeWeights, GrowWithDisparityAndKeepTheirSum) {
    const auto w = learned_weights({{"sex", 1}, {"side", 1}}, rows(), 4);
    EXPECT_NEAR(w.at("sex") + w.at("side"), 2, 1e-12);
    EXPECT_NEAR(w.at("sex") / w.at("side"), std::exp(1.0), 1e-9);  // eta V = 4 / 4
}

}  // namespace
}  // namespace fp
