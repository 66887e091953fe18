// The soft nearest neighbour loss of every backend against the reference.
#include <numeric>

#include "kernels/bf16.h"
#include "tests/kernels/snnl_calls.h"

namespace fp::testing {
namespace {

using namespace neighbours;

class SnnlOn : public OnBackend {
protected:
    // The emulated machine is slow: it tests independent parameters once each, not in all combinations.
    bool slow() const { return GetParam().backend == Backend::emulated; }

    // body(case, features, groups of one set) over maps, distances, temperatures and kinds of groups
    template <class Body>
    void for_each_case(const Body& body) const {
        const Map maps[] = {
            {.n = 70, .c = 3, .h = 7, .w = 7}, {.n = 40, .c = 17, .h = 2, .w = 2},
            {.n = 33, .c = 1, .h = 5, .w = 3}, {.n = 65, .c = 3, .h = 1, .w = 1},
            {.n = 3, .c = 16, .h = 4, .w = 4}, {.n = 201, .c = 2, .h = 3, .w = 1},  // tiles off the diagonal
            {.n = 530, .c = 1, .h = 1, .w = 2}};                                    // several per block
        for (const Map& m : maps) {
            // bf16 differs only in reading x, for which the small maps suffice.
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

// What pruning reads off the scores is the order of the channels; rows of 900 numbers are sums that a tensor core
// leaves several times.
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

// As a rank has them: 64 of 200 channels, which alone would be shared by more blocks each.
TEST_P(SnnlOn, APartOfTheChannelsHasTheBitsOfTheWhole) {
    if (table().activation == Type::bf16) return;  // the same sums
    const SnnlCase whole{.x = {.n = 129, .c = 200, .h = 3, .w = 1}};
    const Map& m = whole.x;
    const Values x = random_values(m.logical(), 1, table().activation);
    const Labels labels = random_labels(m.n, 2, 3);
    const Values all = forward(table(), whole, x, {labels});
    constexpr int kFirst = 64, kCount = 64;
    SnnlCase part = whole;
    part.x.c = kCount;
    part.of_channels = m.c;
    Values own;
    for (int n = 0; n < m.n; ++n) {
        const auto from = x.begin() + m.at(n, kFirst, 0, 0);
        own.insert(own.end(), from, from + kCount * m.pixels());
    }
    EXPECT_EQ(forward(table(), part, own, {labels}), Values(all.begin() + kFirst, all.begin() + kFirst + kCount));
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

}  // namespace
}  // namespace fp::testing
