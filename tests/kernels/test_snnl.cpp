#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "tests/golden/golden.h"
#include "tests/kernels/gradient.h"
#include "tests/kernels/snnl_calls.h"
#include "tests/reference_values.h"

namespace fp::testing {
namespace {

using namespace neighbours;

double score(const SnnlCase& c, const Values& features, const Groups& groups) {
    return forward(exact(), c, features, groups).at(0);
}

const Map kFourPoints{.n = 4, .h = 1, .w = 2};
const SnnlCase kExact{.x = kFourPoints};
const SnnlCase kReleased{.x = kFourPoints, .definition = Definition::as_released};

TEST(Snnl, ByHand) {
    const double e = std::exp(1);
    const Values points{1, 0, 0, 1, 1, 0, 0, 1}, equal{2, 1, 2, 1, 2, 1, 2, 1};
    EXPECT_NEAR(score(kExact, points, {{0, 0, 1, 1}}), std::log(e + 2), 1e-14);
    EXPECT_NEAR(score(kExact, points, {{0, 1, 0, 1}}), std::log(1 + 2 / e), 1e-14);
    EXPECT_NEAR(score(kExact, equal, {{0, 0, 0, 1}}), std::log(1.5), 1e-14);  // the last: no anchor
    EXPECT_NEAR(score(kExact, equal, {{0, 0, 0, 0}}), 0, 1e-14);
    EXPECT_NEAR(chance({0, 0, 1, 1}), std::log(3), 1e-14);
    EXPECT_NEAR(chance({0, 0, 0, 1}), std::log(1.5), 1e-14);
    // The released form adds 1e-9 in its logarithm.
    EXPECT_NEAR(score(kReleased, points, {{0, 0, 1, 1}}), std::log((e + 2) / (e + 1)), 1e-9);
    EXPECT_NEAR(score(kReleased, points, {{0, 1, 0, 1}}), std::log((1 + 2 / e) / 2), 1e-9);
    EXPECT_NEAR(score(kReleased, equal, {{0, 0, 0, 1}}), 0.274653, 1e-6);
    EXPECT_NEAR(score(kReleased, equal, {{0, 0, 0, 0}}), std::log(0.75), 1e-9);
    // 0, 1, 3 on a line
    const SnnlCase line{.x = {.n = 3}, .distance = Distance::euclidean};
    EXPECT_NEAR(score(line, {0, 1, 3}, {{0, 0, 1}}), (std::log(1 + std::exp(-8)) + std::log(1 + std::exp(-3))) / 2,
                1e-14);
}

TEST(Snnl, UnknownSamplesAreNotThere) {
    const SnnlCase six{.x = {.n = 6, .h = 1, .w = 2}}, four{.x = {.n = 4, .h = 1, .w = 2}};
    const Values x = random_values(12, 1);
    const Values known{x[0], x[1], x[4], x[5], x[6], x[7], x[10], x[11]};
    for (const Definition definition : {Definition::exact, Definition::as_released}) {
        SnnlCase with = six, without = four;
        with.definition = without.definition = definition;
        EXPECT_NEAR(score(with, x, {{0, -1, 1, 0, -1, 1}}), score(without, known, {{0, 1, 0, 1}}), 1e-14);
    }
}

TEST(Snnl, StrataKeepPairsApart) {
    // Two strata of four: anchors of each see their own stratum alone, so the score is their mean.
    const SnnlCase eight{.x = {.n = 8, .h = 3, .w = 1}}, four{.x = {.n = 4, .h = 3, .w = 1}};
    const Values x = random_values(24, 1);
    const Values first(x.begin(), x.begin() + 12), second(x.begin() + 12, x.end());
    const Labels labels{0, 1, 0, 1, 1, 1, 0, 0};
    for (const Definition definition : {Definition::exact, Definition::as_released}) {
        SnnlCase all = eight, half = four;
        all.definition = half.definition = definition;
        const double a = score(half, first, {{0, 1, 0, 1}}), b = score(half, second, {{1, 1, 0, 0}});
        EXPECT_NEAR(score(all, x, {labels, {0, 0, 0, 0, 5, 5, 5, 5}}), (a + b) / 2, 1e-14);
        EXPECT_NEAR(score(all, x, {labels, Labels(8, 3)}), score(all, x, {labels}), 1e-14);
    }
}

TEST(Snnl, NoPartnersIsNotANumber) {
    const Values x = random_values(8, 1);
    EXPECT_TRUE(std::isnan(score(kExact, x, {{0, 1, 2, 3}})));
    EXPECT_TRUE(std::isnan(score(kExact, x, {{-1, -1, -1, -1}})));
    EXPECT_TRUE(std::isnan(score(kExact, x, {{0, 0, 1, 1}, {0, 1, 0, 1}})));
    EXPECT_TRUE(std::isnan(score(kReleased, x, {{-1, -1, -1, -1}})));
    EXPECT_TRUE(std::isnan(score(kReleased, x, {{2, -1, -1, -1}})));
    const Values dx = backward(exact(), kExact, x, {{0, 1, 2, 3}}, {1}, Write::replace, {});
    EXPECT_EQ(dx, Values(8, 0.0));
}

TEST(Snnl, EqualMapsScoreChance) {
    const SnnlCase c{.x = {.n = 7, .c = 2, .h = 2, .w = 2}};
    const Labels labels{0, 0, 0, 1, 1, 2, -1};
    Values x;
    for (int n = 0; n < 7; ++n)
        for (const double v : {0., 0., 0., 0., 1., -2., 3., 4.}) x.push_back(v);  // zero, constant
    const Values scores = forward(exact(), c, x, {labels});
    EXPECT_NEAR(scores[0], chance(labels), 1e-14);
    EXPECT_NEAR(scores[1], chance(labels), 1e-14);
    // and the released form puts them apart: K_ii of a zero map is 1/e
    SnnlCase released = c;
    released.definition = Definition::as_released;
    const Values r = forward(exact(), released, x, {labels});
    const double same = (3 * std::log(3) + 2 * std::log(2)) / 6;
    EXPECT_NEAR(r[0], std::log(5) - same, 1e-8);
    EXPECT_NEAR(r[1], std::log(5) - same, 1e-8);
}

TEST(Snnl, AZeroMapHasNoGradient) {
    const SnnlCase c{.x = {.n = 5, .h = 1, .w = 3}};
    Values x = random_values(15, 1);
    std::fill(x.begin() + 3, x.begin() + 6, 0.0);
    const Values dx = backward(exact(), c, x, {{0, 0, 1, 1, 0}}, {1}, Write::replace, {});
    for (size_t i = 0; i < 15; ++i)
        if (i / 3 == 1)
            EXPECT_EQ(dx[i], 0.0);
        else
            EXPECT_NE(dx[i], 0.0);
}

TEST(Snnl, OrderAndNamesOfTheGroupsChangeNothing) {
    const SnnlCase c{.x = {.n = 24, .c = 2, .h = 3, .w = 2}, .temperature = 0.3};
    const Values x = random_values(c.x.logical(), 1);
    const Labels labels = random_labels(24, 3, 2);
    Labels renamed, reversed(labels.rbegin(), labels.rend());
    for (const int32_t label : labels) renamed.push_back(7 - 3 * label);
    Values backwards;
    for (int n = 23; n >= 0; --n) backwards.insert(backwards.end(), &x[size_t(12 * n)], &x[size_t(12 * n)] + 12);
    const Values want = forward(exact(), c, x, {labels});
    expect_close(forward(exact(), c, x, {renamed}), want, 1e-14, "other names");
    expect_close(forward(exact(), c, backwards, {reversed}), want, 1e-13, "other order");
}

// tests/golden/snnl.json.gz: an independent implementation, its inputs by formula.
struct Independent {
    nlohmann::json json;
    SnnlCase at;
    Values features;
    Labels labels;
};

std::vector<Independent> independent_values() {
    std::vector<Independent> all;
    for (const auto& json : nlohmann::json::parse(golden("snnl.json"))) {
        const int channels = json["C"], samples = json["N"], d = json["D"], groups = json["groups"];
        const uint64_t seed = json["seed"];
        const Formula features("features", seed), group("groups", seed), direction("direction", seed);
        Independent one{.json = json,
                        .at = {.x = {.n = samples, .c = channels, .h = d},
                               .temperature = json["T"],
                               .distance = json["distance"] == "cosine" ? Distance::cosine : Distance::euclidean},
                        .features = {},
                        .labels = {}};
        for (int n = 0; n < samples; ++n) one.labels.push_back(int32_t(group.u(uint64_t(n)) * groups));
        for (int n = 0; n < samples; ++n)
            for (int c = 0; c < channels; ++c)
                for (int i = 0; i < d; ++i)
                    one.features.push_back(features.s(uint64_t((c * samples + n) * d + i)) + double(json["offset"]) +
                                           double(c) / channels * one.labels[size_t(n)] * direction.s(uint64_t(i)));
        all.push_back(std::move(one));
    }
    return all;
}

TEST(Snnl, IndependentValues) {
    for (Independent one : independent_values()) {
        SCOPED_TRACE(text("C ", one.at.x.c, ", N ", one.at.x.n, ", T ", one.at.temperature));
        EXPECT_NEAR(chance(one.labels), one.json["chance"], 1e-12);
        const auto expect_scores = [&](const Values& got, const Values& want) {
            ASSERT_EQ(got.size(), want.size());
            for (size_t c = 0; c < got.size(); ++c) EXPECT_NEAR(got[c], want[c], 1e-10) << "channel " << c;
        };
        expect_scores(forward(exact(), one.at, one.features, {one.labels}), one.json["exact"]);
        one.at.definition = Definition::as_released;
        expect_scores(forward(exact(), one.at, one.features, {one.labels}), one.json["as_released"]);
    }
}

TEST(Snnl, IndependentGradients) {
    for (const Independent& one : independent_values()) {
        SCOPED_TRACE(text("C ", one.at.x.c, ", N ", one.at.x.n, ", T ", one.at.temperature));
        const Map& m = one.at.x;
        const Values dx =
            backward(exact(), one.at, one.features, {one.labels}, Values(size_t(m.c), 1.0), Write::replace, {});
        Values norm(size_t(m.c), 0.0);
        for (int n = 0; n < m.n; ++n)
            for (int c = 0; c < m.c; ++c)
                for (int i = 0; i < m.h; ++i) norm[size_t(c)] += std::pow(dx[size_t(m.at(n, c, i, 0))], 2);
        for (double& v : norm) v = std::sqrt(v);
        expect_close(norm, one.json["grad_l2_per_channel"], 1e-9, "norm a channel");
        expect_close(Values(dx.begin(), dx.begin() + 4), one.json["grad_first4"], 1e-9, "first of channel 0");
    }
}

TEST(Snnl, BackwardIsTheGradient) {
    const SnnlCase cases[] = {
        {.x = {.n = 9, .c = 2, .h = 2, .w = 2}, .temperature = 0.7},
        {.x = {.n = 8, .c = 3, .h = 1, .w = 3}, .temperature = 0.1},
        {.x = {.n = 7, .c = 2, .h = 3, .w = 1}, .temperature = 5, .distance = Distance::euclidean}};
    for (const SnnlCase& c : cases) {
        SCOPED_TRACE(text("N ", c.x.n, ", T ", c.temperature));
        Labels labels = random_labels(c.x.n, 2, 1), strata = random_labels(c.x.n, 2, 4);
        labels[1] = -1, labels[2] = 5;  // unknown; alone: a neighbour and no anchor
        for (const Groups& groups : {Groups{labels}, Groups{labels, strata}})
            expect_gradient(
                {random_values(c.x.logical(), 1)},
                [&](const std::vector<Values>& v) { return forward(exact(), c, v[0], groups); },
                [&](const std::vector<Values>& v, const Values& dy, const std::vector<Values>& before) {
                    return std::vector<Values>{backward(exact(), c, v[0], groups, dy, Write::add, before[0])};
                });
    }
}

}  // namespace
}  // namespace fp::testing
