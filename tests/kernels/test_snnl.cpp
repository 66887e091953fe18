#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "kernels/bf16.h"
#include "tests/golden/golden.h"
#include "tests/kernels/gradient.h"
#include "tests/reference_values.h"

namespace fp::testing {
namespace {

using Distance = SnnlShape::Distance;
using Definition = SnnlShape::Definition;
using Labels = std::vector<int32_t>;

struct SnnlCase {
    Map x;
    double temperature = 1;
    Distance distance = Distance::cosine;
    Definition definition = Definition::exact;
    size_t scratch_limit = SnnlShape().scratch_limit;
};

struct Groups {
    Labels labels;    // (sets, n)
    Labels strata{};  // none if empty
};

SnnlShape shape_on(const Device& on, const SnnlCase& c, int sets) {
    return {.x = on.map(c.x),
            .sets = sets,
            .temperature = c.temperature,
            .distance = c.distance,
            .definition = c.definition,
            .scratch_limit = c.scratch_limit};
}

// One score per label set and channel.
Values forward(const Kernels& k, const SnnlCase& c, const Values& features, const Groups& groups) {
    const Device on{k};
    const int sets = int(groups.labels.size()) / c.x.n;
    const SnnlShape s = shape_on(on, c, sets);
    const Buffer scratch(k, k.snnl.scratch_bytes(s, false));
    const Tensor x = on.act_in(s.x, features);
    const Array<int32_t> labels(k, groups.labels), strata(k, groups.strata);
    const Array<double> scores(k, size_t(sets) * size_t(c.x.c));
    k.snnl.forward(s, {.x = x, .labels = labels, .strata = strata.if_given(!groups.strata.empty()), .scores = scores},
                   scratch.data(), {});
    return scores.values();
}

Values backward(const Kernels& k,
                const SnnlCase& c,
                const Values& features,
                const Groups& groups,
                const Values& slopes,
                Write write,
                const Values& before) {
    const Device on{k};
    const SnnlShape s = shape_on(on, c, 1);
    const Buffer scratch(k, k.snnl.scratch_bytes(s, true));
    const Tensor x = on.act_in(s.x, features), dx = on.act_grad(s.x, write, before);
    const Array<int32_t> labels(k, groups.labels), strata(k, groups.strata);
    const Array<double> dscore(k, slopes);
    k.snnl.backward(s,
                    {.x = x,
                     .labels = labels,
                     .strata = strata.if_given(!groups.strata.empty()),
                     .dscore = dscore,
                     .dx = dx,
                     .write = write},
                    scratch.data(), {});
    return dx.values();
}

// NaN, a set without anchors, as a number that no score is.
Values estimable(Values scores) {
    for (double& score : scores)
        if (std::isnan(score)) score = -1000;
    return scores;
}

// The exact score when every distance is equal: - sum_g (n_g / M) log((n_g - 1) / (N - 1)), n_g >= 2.
double chance(const Labels& labels) {
    std::vector<int> count;
    int known = 0;
    for (const int32_t label : labels) {
        if (label < 0) continue;
        count.resize(std::max(count.size(), size_t(label) + 1));
        ++count[size_t(label)], ++known;
    }
    double sum = 0;
    int anchors = 0;
    for (const int n : count)
        if (n >= 2) sum -= n * std::log((n - 1.0) / (known - 1.0)), anchors += n;
    return sum / anchors;
}

Labels random_labels(int count, int groups, uint64_t seed) {
    Labels labels;
    for (int i = 0; i < count; ++i) labels.push_back(int32_t(uniform_below(uint64_t(groups), seed, uint64_t(i))));
    return labels;
}

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

class SnnlOn : public OnBackend {
protected:
    // Threads that are played one by one take their time: there what does not depend on each other is tried once.
    bool slow() const { return GetParam().backend == Backend::emulated; }

    // body(case, features, groups of one set) over maps, distances, temperatures and kinds of groups
    template <class Body>
    void for_each_case(const Body& body) const {
        const Map maps[] = {
            {.n = 70, .c = 3, .h = 7, .w = 7}, {.n = 40, .c = 17, .h = 2, .w = 2},
            {.n = 33, .c = 1, .h = 5, .w = 3}, {.n = 65, .c = 3, .h = 1, .w = 1},
            {.n = 3, .c = 16, .h = 4, .w = 4}, {.n = 201, .c = 2, .h = 3, .w = 1},  // tiles off the diagonal
            {.n = 530, .c = 1, .h = 1, .w = 2}};                                    // several of them to a block
        for (const Map& m : maps) {
            // Of bf16 only the reading of x is its own: the small maps show it.
            if (table().activation == Type::bf16 && m.n > 40) continue;
            for (const Distance distance : {Distance::cosine, Distance::euclidean})
                for (const double temperature : {1.0, 0.1}) {
                    if (slow() && temperature != 1 && m.n > 40) continue;
                    SCOPED_TRACE(text("map ", m.n, "x", m.c, "x", m.h, "x", m.w, ", ",
                                      distance == Distance::cosine ? "cosine" : "euclidean", ", T ", temperature));
                    const SnnlCase c{.x = m,
                                     .temperature = distance == Distance::cosine ? temperature
                                                                                 : temperature * 2 * double(m.pixels()),
                                     .distance = distance};
                    Values x = random_values(m.logical(), 1, table().activation);
                    Labels some = random_labels(m.n, 3, 2);
                    for (size_t n = 3; n < some.size(); n += 5) some[n] = -1;
                    body(c, x, Groups{random_labels(m.n, 2, 3)});
                    body(c, x, Groups{some, random_labels(m.n, 2, 4)});
                    // A dead map in every channel.
                    std::fill(x.begin(), x.begin() + std::ptrdiff_t(m.c * m.pixels()), 0.0);
                    body(c, x, Groups{some});
                }
        }
    }
};
FP_ON_EVERY_BACKEND(SnnlOn);

TEST_P(SnnlOn, Forward) {
    for_each_case([&](SnnlCase c, const Values& x, Groups groups) {
        const Labels second = random_labels(c.x.n, 4, 5);  // a second set over the same distances
        groups.labels.insert(groups.labels.end(), second.begin(), second.end());
        for (const Definition definition : {Definition::exact, Definition::as_released}) {
            c.definition = definition;
            expect_close(estimable(forward(table(), c, x, groups)), estimable(forward(exact(), c, x, groups)),
                         tolerance(), definition == Definition::exact ? "exact" : "as released");
        }
    });
}

TEST_P(SnnlOn, Backward) {
    for_each_case([&](const SnnlCase& c, const Values& x, const Groups& groups) {
        const Values dscore = random_values(c.x.c, 6);
        const Values before = random_values(c.x.logical(), 7, table().activation);
        for (const Write write : {Write::replace, Write::add}) {
            if (slow() && (write == Write::add) == groups.strata.empty()) continue;
            expect_close(backward(table(), c, x, groups, dscore, write, before),
                         backward(exact(), c, x, groups, dscore, write, before), tolerance(),
                         write == Write::add ? "dx added" : "dx");
        }
    });
}

// What pruning reads off the scores is the order of the channels; rows of 900 numbers are sums that a tensor core leaves
// several times.
TEST_P(SnnlOn, RanksChannelsAsDoubleDoes) {
    for (const Map& m : {Map{.n = 64, .c = 48, .h = 4, .w = 4}, Map{.n = 12, .c = 4, .h = 30, .w = 30}}) {
        const Labels labels = random_labels(m.n, 2, 1);
        Values x = random_values(m.logical(), 1);
        for (int n = 0; n < m.n; ++n)  // the later the channel, the more it tells the label
            for (int c = 0; c < m.c; ++c)
                for (int h = 0; h < m.h; ++h) x[size_t(m.at(n, c, h, 0))] += 0.02 * c * labels[size_t(n)];
        for (double& v : x) v = table().activation == Type::bf16 ? fp::to_float(fp::to_bf16(float(v))) : float(v);
        const Values want = forward(exact(), {.x = m}, x, {labels}), got = forward(table(), {.x = m}, x, {labels});
        const auto ranked = [](const Values& of) {
            std::vector<size_t> order(of.size());
            std::iota(order.begin(), order.end(), size_t(0));
            std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return of[a] < of[b]; });
            return order;
        };
        EXPECT_EQ(ranked(got), ranked(want));
        for (size_t c = 0; c < want.size(); ++c) EXPECT_NEAR(got[c], want[c], 2e-7) << "channel " << c;
    }
}

TEST_P(SnnlOn, ChannelsInRangesGiveTheSameBits) {
    const SnnlCase cases[] = {
        {.x = {.n = 129, .c = 200, .h = 3, .w = 1}},  // more blocks would share a channel of 32
        {.x = {.n = 20, .c = 70, .h = 2, .w = 2}, .temperature = 0.01},
        {.x = {.n = 20, .c = 41, .h = 2, .w = 2}, .temperature = 8, .distance = Distance::euclidean}};
    for (const SnnlCase& whole : cases) {
        const Map& m = whole.x;
        if (table().activation == Type::bf16 && m.n > 20) continue;
        SCOPED_TRACE(text("map ", m.n, "x", m.c));
        SnnlCase ranges = whole;
        ranges.scratch_limit = 1;
        const Device on{table()};
        if (GetParam().backend == Backend::emulated) {
            EXPECT_LT(table().snnl.scratch_bytes(shape_on(on, ranges, 1), true),
                      table().snnl.scratch_bytes(shape_on(on, whole, 1), true));
        }
        const Values x = random_values(m.logical(), 1, table().activation);
        const Labels labels = random_labels(m.n, 2, 3);
        Labels both = labels;
        for (const int32_t label : random_labels(m.n, 3, 4)) both.push_back(label);
        EXPECT_EQ(forward(table(), ranges, x, {both}), forward(table(), whole, x, {both}));
        const Values dscore = random_values(m.c, 6);
        const Values before = random_values(m.logical(), 7, table().activation);
        const Write write = m.c == 70 ? Write::add : Write::replace;
        EXPECT_EQ(backward(table(), ranges, x, {labels}, dscore, write, before),
                  backward(table(), whole, x, {labels}, dscore, write, before));
    }
}

TEST_P(SnnlOn, SmallTemperatureStaysFinite) {
    for (const Distance distance : {Distance::cosine, Distance::euclidean})
        for (const Definition definition : {Definition::exact, Definition::as_released}) {
            const SnnlCase c{.x = {.n = 20, .c = 17, .h = 3, .w = 3},
                             .temperature = 1e-3,
                             .distance = distance,
                             .definition = definition};
            const Values x = random_values(c.x.logical(), 1, table().activation);
            for (const double s : forward(table(), c, x, {random_labels(20, 2, 2)})) EXPECT_TRUE(std::isfinite(s)) << s;
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
