// Scores of layers and sets by hand (the kernels have tests of their own).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <numeric>

#include "engine/eval/snnl_chance.h"
#include "engine/prune/criteria/snnl_scores.h"
#include "tests/expect_error.h"
#include "tests/network_values.h"

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
    EXPECT_NEAR(score({0, 0, 1, 1}, {.definition = Definition::as_released}).score[0], std::log((kE + 2) / (kE + 1)),
                1e-8);
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
    EXPECT_NEAR(chance({0, 0, 0, 1, 0, 0}, {0, 0, 0, 0, 1, 1}), -(3 * std::log(2.0 / 3) + 2 * std::log(1.0)) / 5,
                1e-12);
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
    const std::vector<LayerScores> scores{layer("a", "sex", 0.9, 0.6),   layer("b", "sex", 0.7, 0.8),
                                          layer("a", "age", 0.5, 1.0),   layer("b", "age", 0.5, 1.0),
                                          layer("a", "class", 1.0, 0.2), layer("b", "class", 0.8, 0.2)};
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

// Channels of maps of `pixels` numbers: the first `sensitive` with the groups `shift` to either side along one
// direction, the others noise; all about a channel's own offset.
struct Noise {
    int channels = 12, sensitive = 2, side = 8;
    double shift = 3, temperature = 1;
    bool released = false;
    int block = 0, permutations = 0;
    bool halves = false;
};
std::vector<int32_t> two_groups(int first, int second) {
    std::vector<int32_t> labels(size_t(first), 0);
    labels.resize(size_t(first + second), 1);
    return labels;
}
// In the order given: the sample at place i is the order[i]-th.
LayerScores noise_scores(const Noise& n, const std::vector<int32_t>& labels, const std::vector<int>& order) {
    const Kernels& k = kernels(Backend::cpu);
    Features f{
        .layer = "a",
        .map = {.n = int(labels.size()), .c = n.channels, .h = n.side, .w = n.side, .block = k.block(n.channels)},
        .data = {}};
    const int pixels = n.side * n.side;
    f.data = testing::upload_map(k, f.map, [&](uint64_t i) {
        const auto pixel = int(i % uint64_t(pixels));
        const auto channel = int(i / uint64_t(pixels) % uint64_t(n.channels));
        const int sample = order[i / uint64_t(pixels) / uint64_t(n.channels)];
        const double u =
            uniform_double(7, uint64_t(sample * n.channels + channel) * uint64_t(pixels) + uint64_t(pixel));
        const double side = labels[size_t(sample)] == 0 ? -1 : 1;
        const double shift = channel < n.sensitive && pixel == 0 ? n.shift * side : 0;
        return std::sqrt(12.0) * (u - 0.5) + shift + 0.25 * (channel % 4);
    });
    LabelSet set{.name = "g", .of = {}};
    for (const int sample : order) set.of.push_back(labels[size_t(sample)]);
    return score_layer(k, f, {set}, std::vector<int32_t>(labels.size(), 0),
                       {.definition = n.released ? Definition::as_released : Definition::exact,
                        .temperature = n.temperature,
                        .block = n.block,
                        .permutations = n.permutations,
                        .halves = n.halves},
                       Tap::convolution)
        .at(0);
}
std::vector<int> in_order(int n) {
    std::vector<int> order(static_cast<size_t>(n));
    std::iota(order.begin(), order.end(), 0);
    return order;
}
std::vector<int> every_fifth(int n) {  // n and 5 have no common divisor
    std::vector<int> order;
    for (int i = 0; i < n; ++i) order.push_back(i * 5 % n);
    return order;
}
double largest_change(const std::vector<double>& a, const std::vector<double>& b) {
    double out = 0;
    for (size_t i = 0; i < a.size(); ++i) out = std::max(out, std::abs(a[i] - b[i]) / std::abs(a[i]));
    return out;
}

// The mean map that --centre subtracts is that of the samples whose group is known: those of unknown group change
// nothing, and each attribute has a mean of its own.
TEST(SnnlScores, CentringDoesNotSeeSamplesOfUnknownGroup) {
    const Kernels& k = kernels(Backend::reference_f64);
    const auto scores = [&](const std::vector<double>& x, const std::vector<LabelSet>& sets) {
        Features f{.layer = "a", .map = {.n = int(x.size()) / 2, .c = 1, .h = 1, .w = 2}, .data = {}};
        f.data = testing::upload_map(k, f.map, [&](uint64_t i) { return x[i]; });
        std::vector<double> out;
        const std::vector<int32_t> classes(x.size() / 2, 0);
        for (const LayerScores& r : score_layer(k, f, sets, classes, {.centred = true}, Tap::convolution))
            out.push_back(r.score[0]);
        return out;
    };
    const std::vector<double> four{3, 1, 2, 2, 4, 1, 2, 3}, five{3, 1, 2, 2, 4, 1, 2, 3, 90, -70};
    const double without = scores(four, {{"g", {0, 0, 1, 1}}})[0];
    EXPECT_NEAR(scores(five, {{"g", {0, 0, 1, 1, -1}}})[0], without, 1e-12);
    // Beside an attribute that knows all five.
    const auto both = scores(five, {{"h", {0, 1, 0, 1, 1}}, {"g", {0, 0, 1, 1, -1}}});
    EXPECT_NEAR(both[0], scores(five, {{"h", {0, 1, 0, 1, 1}}})[0], 1e-12);
    EXPECT_NEAR(both[1], without, 1e-12);
}

TEST(SnnlScores, TheOrderOfTheSamplesDoesNotMatter) {
    const auto labels = two_groups(40, 88);
    const LayerScores a = noise_scores({}, labels, in_order(128)), b = noise_scores({}, labels, every_fifth(128));
    EXPECT_LT(largest_change(a.normalized, b.normalized), 1e-6);
    // In the blocks of the released code it does: here each has its own mix of groups.
    const Noise released{.released = true, .block = 32};
    EXPECT_GT(largest_change(noise_scores(released, labels, in_order(128)).score,
                             noise_scores(released, labels, every_fifth(128)).score),
              0.1);
}

// The same two clouds with other shares of the groups: the raw score follows the mix, score~ hardly does.
TEST(SnnlScores, TheGroupMixMovesTheNormalisedScoreLessThanTheRawOne) {
    const LayerScores even = noise_scores({}, two_groups(64, 64), in_order(128));
    for (const int first : {48, 32, 16}) {
        const LayerScores mix = noise_scores({}, two_groups(first, 128 - first), in_order(128));
        const double raw = largest_change(even.score, mix.score),
                     normalised = largest_change(even.normalized, mix.normalized);
        EXPECT_GT(raw, first == 16 ? 0.4 : 0.04) << first;
        EXPECT_LT(normalised, raw / 10) << first;
    }
}

TEST(SnnlScores, PermutedLabelsKeepLesionsAndGroupSizes) {
    // Lesions of 1, 2 and 3 images; the label of one is unknown.
    const LabelSet set{.name = "g",
                       .of = {0, 1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1, -1, 1},
                       .unit = {0, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7}};
    int moved = 0;
    for (int r = 0; r < 50; ++r) {
        const LabelSet p = permuted(set, {}, 3, r);
        moved += p.of != set.of;
        EXPECT_EQ(p.of[12], -1);
        EXPECT_EQ(std::count(p.of.begin(), p.of.end(), 0), std::count(set.of.begin(), set.of.end(), 0));
        for (const int i : {2, 4, 6, 8, 10}) EXPECT_EQ(p.of[i], p.of[i + 1]);  // lesions of one group
        EXPECT_EQ(permuted(set, {}, 3, r).of, p.of);
    }
    EXPECT_GT(moved, 25);
    // Nothing leaves its stratum.
    const std::vector<int32_t> strata{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1};
    for (int r = 0; r < 20; ++r) {
        const LabelSet p = permuted(set, strata, 3, r);
        EXPECT_EQ(std::accumulate(p.of.begin(), p.of.begin() + 8, 0), 3);
    }
}

TEST(SnnlScores, HalvesAreOfWholeLesionsAndEveryGroup) {
    const LabelSet set{.name = "g",
                       .of = {0, 1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1, -1, 1},
                       .unit = {0, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7}};
    const std::vector<int32_t> strata(set.of.size(), 0);
    const LabelSet a = half_of(set, strata, 0), b = half_of(set, strata, 1);
    for (size_t i = 0; i < set.of.size(); ++i) {
        EXPECT_EQ(std::max(a.of[i], b.of[i]), set.of[i]);
        EXPECT_EQ(std::min(a.of[i], b.of[i]), -1);
    }
    for (const size_t i : {2u, 4u, 6u, 8u, 10u}) EXPECT_EQ(a.of[i] < 0, a.of[i + 1] < 0);
    // Of 4 lesions of the first group and 4 of the second, two each.
    EXPECT_EQ(std::count(a.of.begin(), a.of.end(), 0), 1 + 2);
    EXPECT_EQ(std::count(b.of.begin(), b.of.end(), 0), 2 + 2);
}

// Channels of noise differ by the noise of their scores alone.
TEST(SnnlScores, NoiseIsTheSpreadOfChannelsThatDifferByNothingElse) {
    const auto labels = two_groups(40, 88);
    const Noise settings{.channels = 64, .sensitive = 0, .halves = true};
    const LayerScores r = noise_scores(settings, labels, in_order(128));
    ASSERT_TRUE(r.halves);
    const double noise = noise_of({{"a", (*r.halves)[0]}}, {{"a", (*r.halves)[1]}}).at("a");
    const double mean = std::accumulate(r.normalized.begin(), r.normalized.end(), 0.0) / 64;
    double squares = 0;
    for (const double v : r.normalized) squares += (v - mean) * (v - mean);
    const double spread = std::sqrt(squares / 63);
    EXPECT_GT(noise, 0.6 * spread);
    EXPECT_LT(noise, 1.7 * spread);
    // Scores are what they are without halves.
    EXPECT_EQ(noise_scores({.channels = 64, .sensitive = 0}, labels, in_order(128)).score, r.score);
}

// Halves of an odd number of lesions have other chances than all samples; a half of one group has none.
TEST(SnnlScores, NoiseOfUnequalHalves) {
    const auto noise_with = [](int first, int second) {
        const Noise settings{.channels = 64, .sensitive = 0, .halves = true};
        const LayerScores r = noise_scores(settings, two_groups(first, second), in_order(size_t(first + second)));
        return noise_of({{"a", r.halves->at(0)}}, {{"a", r.halves->at(1)}});
    };
    EXPECT_LT(noise_with(41, 87).at("a"), 1.5 * noise_with(40, 88).at("a"));
    EXPECT_LT(noise_with(3, 125).at("a"), 0.2);
    EXPECT_TRUE(noise_with(1, 127).empty());
}

TEST(SnnlScores, NoiseLeavesOutWhatIsNotEstimable) {
    const double nan = std::nan("");
    const auto noise = noise_of({{"a", {1, 2, nan}}, {"b", {nan}}}, {{"a", {3, 4, 1}}, {"b", {1}}});
    EXPECT_NEAR(noise.at("a"), 1.4826, 1e-12);
    EXPECT_FALSE(noise.contains("b"));
}

TEST(SnnlScores, TheNullIsWhatNoiseScoresWhereChanceIsNot) {
    const auto labels = two_groups(40, 88);
    const LayerScores r = noise_scores(
        {.channels = 40, .sensitive = 5, .side = 4, .temperature = 0.05, .permutations = 60}, labels, in_order(128));
    ASSERT_TRUE(r.null);
    EXPECT_EQ(r.null->permutations, 60);
    EXPECT_EQ(r.normalized_by, "permutations");
    double over_chance = 0, z = 0, squares = 0;
    int small_p = 0;
    for (int c = 0; c < 40; ++c) {
        if (c < 5) {
            EXPECT_LT(r.null->z[c], -5) << c;
            EXPECT_NEAR(r.null->p[c], 1.0 / 61, 1e-12);
            continue;
        }
        over_chance += r.score[c] / r.chance / 35;
        z += r.null->z[c] / 35;
        squares += r.null->z[c] * r.null->z[c] / 35;
        small_p += r.null->p[c] <= 0.05;
        EXPECT_NEAR(r.normalized[c], 1, 0.25) << c;
    }
    EXPECT_GT(over_chance, 1.3);  // what chance alone would call insensitive
    EXPECT_NEAR(z, 0, 0.6);       // 35 draws of about N(0, 1)
    EXPECT_NEAR(squares, 1, 0.7);
    EXPECT_LE(small_p, 6);
    // With large maps and T = 1 chance stands, and the null agrees with it.
    const LayerScores large = noise_scores({.permutations = 20}, labels, in_order(128));
    EXPECT_EQ(large.normalized_by, "chance");
    for (int c = 2; c < 12; ++c) EXPECT_NEAR(large.null->mean[c] / large.chance, 1, 0.01);
}

}  // namespace
}  // namespace fp
