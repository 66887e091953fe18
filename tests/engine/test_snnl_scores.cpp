// Scores of layers and sets by hand (the kernels have tests of their own).
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "engine/prune/criteria.h"
#include "engine/prune/snnl_scores.h"
#include "tests/engine/network_values.h"
#include "tests/expect_error.h"

namespace fp {
namespace {

using Definition = SnnlShape::Definition;
constexpr double kE = std::numbers::e;

// Four samples of one channel with the points (1,0) (0,1) (1,0) (0,1).
Features crossed_points(const Kernels& k) {
    const std::vector<double> x{1, 0, 0, 1, 1, 0, 0, 1};
    Features f{.layer = "a", .map = {.n = 4, .c = 1, .h = 1, .w = 2}, .data = {}};
    f.data = testing::upload_map(k, f.map, [&](uint64_t i) { return x[i]; });
    return f;
}

LayerScores score(const std::vector<int32_t>& groups,
                  const SnnlOptions& options,
                  const std::vector<int32_t>& classes = {0, 0, 0, 0}) {
    const Kernels& k = kernels(Backend::reference_f64);
    Features f = crossed_points(k);
    return score_layer(k, f, {{"g", groups}}, classes, options, Tap::convolution).at(0);
}

TEST(SnnlScores, FourPointsByHand) {
    const LayerScores aabb = score({0, 0, 1, 1}, {}), abab = score({0, 1, 0, 1}, {});
    EXPECT_NEAR(aabb.score[0], std::log(kE + 2), 1e-12);
    EXPECT_NEAR(aabb.chance, std::log(3), 1e-12);
    EXPECT_NEAR(aabb.normalized[0], std::log(kE + 2) / std::log(3), 1e-12);
    EXPECT_NEAR(abab.score[0], std::log(1 + 2 / kE), 1e-12);
    EXPECT_NEAR(score({0, 0, 1, 1}, {.definition = Definition::as_released}).score[0],
                std::log((kE + 2) / (kE + 1)), 1e-8);
}

TEST(SnnlScores, OneGroupIsNotEstimable) {
    const LayerScores r = score({0, 0, 0, 0}, {});
    EXPECT_TRUE(std::isnan(r.normalized[0]));
    EXPECT_NE(r.reason.find("one group only (n=4)"), std::string::npos);
}

TEST(SnnlScores, GivenTheClassOnlyPairsOfOneClassCount) {
    // Classes 0 0 1 1 with groups a a a b: in the first class nothing is to be told, in the second nobody has
    // a partner. With classes 0 1 0 1 and groups a a b b nobody has one.
    EXPECT_FALSE(score({0, 0, 1, 1}, {.given_class = true}, {0, 1, 0, 1}).reason.empty());
    EXPECT_NEAR(chance({0, 0, 0, 1, 0, 0}, {0, 0, 0, 0, 1, 1}),
                -(3 * std::log(2.0 / 3) + 2 * std::log(1.0)) / 5, 1e-12);
}

TEST(SnnlScores, ChanceOfFortyAndEightyEight) {
    std::vector<int32_t> labels(128, 1);
    std::fill(labels.begin(), labels.begin() + 40, 0);
    EXPECT_NEAR(chance(labels), 0.629012, 1e-6);
    labels.push_back(-1);  // unknown: neither anchor nor neighbour
    EXPECT_NEAR(chance(labels), 0.629012, 1e-6);
}

TEST(SnnlScores, BlocksAreAveragedAndTheTailDropped) {
    const LayerScores r = score({0, 0, 0, 1}, {.block = 3});  // one block of three: one group
    EXPECT_FALSE(r.reason.empty());
    EXPECT_EQ(r.blocks, 1);
}

TEST(SnnlScores, SetsWeighAttributesAndProtectTheClass) {
    const ChannelSet set{.channels = 2, .layers = {"a", "b"}, .rows = {}, .columns = {}};
    const auto layer = [](const char* name, const char* attribute, double x, double y) {
        return LayerScores{.layer = name, .attribute = attribute, .normalized = {x, y}};
    };
    const std::vector<LayerScores> scores{
        layer("a", "sex", 0.9, 0.6), layer("b", "sex", 0.7, 0.8),   layer("a", "age", 0.5, 1.0),
        layer("b", "age", 0.5, 1.0), layer("a", "class", 1.0, 0.2), layer("b", "class", 0.8, 0.2)};
    const auto values = [&](std::map<std::string, double> weights, double lambda) {
        return snnl_set_scores({set}, scores, weights, "class", lambda).at("b");
    };
    EXPECT_NEAR(values({{"sex", 1}}, 0)[0], 0.8, 1e-12);
    EXPECT_NEAR(values({{"sex", 1}}, 0)[1], 0.7, 1e-12);
    EXPECT_NEAR(values({{"sex", 3}, {"age", 1}}, 0)[0], 0.75 * 0.8 + 0.25 * 0.5, 1e-12);
    // 1 - s + lambda u: u = 1 - 0.9 and 1 - 0.2, so the second channel, which tells the class, stays.
    EXPECT_NEAR(values({{"sex", 1}}, 2)[0], 0.8 + 2 * 0.1, 1e-12);
    EXPECT_NEAR(values({{"sex", 1}}, 2)[1], 0.7 + 2 * 0.8, 1e-12);
    testing::expect_error(
        Exit::usage,
        [&] {
            values({{"sex", 0}}, 0);
        },
        "weights sum to 0");
}

}  // namespace
}  // namespace fp
