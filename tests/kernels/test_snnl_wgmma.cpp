// The sums of the soft nearest neighbour loss on Hopper's warpgroup products (snnl_sums_sm90a.cu), on the emulated machine
// and on a GPU: awkward shapes against the reference, bits, traffic.
#include "kernels/cuda/plan/snnl_plan.h"
#include "tests/kernels/counted.h"
#include "tests/kernels/snnl_calls.h"

namespace fp::testing {
namespace {

using namespace neighbours;

SnnlCase rows_of(int n, int d, int c = 2) { return {.x = {.n = n, .c = c, .h = d}}; }

class SnnlWgmma : public OnBackend {
protected:
    void SetUp() override {
        OnBackend::SetUp();
        if (IsSkipped()) return;
        snnl_forced() = {.kernel = SnnlKernel::wgmma};
        try {
            (void)table().snnl.scratch_bytes(shape_on({table()}, rows_of(2, 1), 1), false);
        } catch (const Error& refusal) {
            GTEST_SKIP() << "device " << table().name << " is of another generation than Hopper: " << refusal.what();
        }
    }
    ~SnnlWgmma() override {
        snnl_forced() = {};
        if (emulates()) emulated::settings() = before_;
    }
    bool emulates() const { return GetParam().backend == Backend::emulated; }
    // The emulated machine's products and powers are better than a GPU's, whose tensor cores truncate.
    double allowed(double emulated) const { return emulates() ? emulated : tolerance(); }
    // Scores of every set, exact and as released, near the reference's.
    void expect_reference(SnnlCase c, const Values& x, const Groups& groups) const {
        for (const Definition definition : {Definition::exact, Definition::as_released}) {
            c.definition = definition;
            expect_close(estimable(forward(table(), c, x, groups)), estimable(forward(exact(), c, x, groups)),
                         allowed(2e-6), definition == Definition::exact ? "exact" : "as released");
        }
    }
    emulated::Settings before_ = emulated::settings();
};
INSTANTIATE_TEST_SUITE_P(Kernels,
                         SnnlWgmma,
                         ::testing::Values(Table{Backend::emulated, Precision::f32},
                                           Table{Backend::cuda, Precision::f32}),
                         table_name);

Labels joined(Labels a, const Labels& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

TEST_P(SnnlWgmma, AwkwardShapes) {
    for (const auto& [n, d] :
         {std::pair{1, 7}, {2, 1}, {63, 49}, {65, 65}, {129, 7}, {129, 196}, {130, 320}, {64, 17}}) {
        SCOPED_TRACE(text("N ", n, ", D ", d));
        const SnnlCase c = rows_of(n, d);
        const Values x = random_values(c.x.logical(), 1);
        expect_reference(c, x, {random_labels(n, 3, 2)});
    }
}

TEST_P(SnnlWgmma, SetsStrataAndUnknownSamples) {
    for (const int n : {66, 140}) {
        const SnnlCase c = rows_of(n, 9);
        const Values x = random_values(c.x.logical(), 1);
        Labels some = random_labels(n, 3, 2);
        for (size_t i = 3; i < some.size(); i += 5) some[i] = -1;
        const Labels sets = joined(joined(some, random_labels(n, 2, 3)), Labels(size_t(n), 7));
        Labels strata = random_labels(n, 3, 4);
        for (int32_t& s : strata) s = (s - 1) * 0x7fffffff;  // any integers
        expect_reference(c, x, {sets});
        expect_reference(c, x, {sets, strata});
        expect_reference(c, x, {some, Labels(size_t(n), -1)});
        expect_reference(c, x, {Labels(size_t(n), -1)});
    }
}

TEST_P(SnnlWgmma, DuplicatesZeroRowsAndNaN) {
    const int n = 131, d = 12;
    const SnnlCase c = rows_of(n, d, 3);
    Values x = random_values(c.x.logical(), 1);
    const auto sample = [&](int i, int channel) { return x.begin() + c.x.at(i, channel, 0, 0); };
    for (int i = 0; i < n; i += 2) std::fill_n(sample(i, 0), d, i % 4 ? 0.0 : 1.0);
    for (int i = 1; i < n; ++i) std::copy_n(sample(0, 1), d, sample(i, 1));
    Labels labels = random_labels(n, 2, 2);
    expect_reference(c, x, {labels});
    // A sample that is not a number makes its channel's score none, unless its label is unknown.
    *sample(130, 2) = NAN;
    const Values with = forward(table(), c, x, {labels});
    EXPECT_TRUE(std::isnan(with[2]));
    EXPECT_TRUE(std::isfinite(with[0]) && std::isfinite(with[1]));
    labels[130] = -1;
    expect_reference(c, x, {labels});
}

TEST_P(SnnlWgmma, TemperaturesUpToTheBound) {
    for (const double temperature : {0.03, 0.1, 30.0}) {
        SnnlCase c = rows_of(70, 5);
        c.temperature = temperature;
        expect_reference(c, random_values(c.x.logical(), 1), {random_labels(70, 2, 2)});
    }
}

// Cosines near 0: their sum over 16 steps stays small and loses little. Had it begun at -log2(e) / T = -48, each step
// would have rounded there.
TEST_P(SnnlWgmma, LongSumsRoundNearTheCosine) {
    SnnlCase c = rows_of(3, 1024, 6);
    c.temperature = 0.03;
    const Values x = random_values(c.x.logical(), 1);
    const Groups groups{Labels{0, 0, 1}};
    expect_close(forward(table(), c, x, groups), forward(exact(), c, x, groups), allowed(1.2e-6), "scores");
}

// Strips of more than kSnnlFlush tiles, in one group and in sixteen.
TEST_P(SnnlWgmma, LongStrips) {
    SnnlCase c = rows_of(2200, 1, 1);
    const Values x = random_values(c.x.logical(), 1);
    const Labels labels = random_labels(c.x.n, 5, 2);
    const double want = forward(exact(), c, x, {labels}).at(0);
    EXPECT_NEAR(forward(table(), c, x, {labels}).at(0), want, allowed(2e-7));
    c.of_channels = 1320;
    ASSERT_EQ(snnl_groups(shape_on(Device{table()}, c, 1)).count(), 1);
    EXPECT_NEAR(forward(table(), c, x, {labels}).at(0), want, allowed(2e-7));
}

TEST_P(SnnlWgmma, TheSameBitsInRangesAndParts) {
    const SnnlCase whole = rows_of(129, 3, 33);  // two ranges
    const Map& m = whole.x;
    const Values x = random_values(m.logical(), 1);
    const Groups groups{random_labels(m.n, 2, 3)};
    const Values all = forward(table(), whole, x, groups);
    SnnlCase ranges = whole;
    ranges.scratch_limit = 1;
    EXPECT_EQ(forward(table(), ranges, x, groups), all);
    SnnlCase part = whole;
    part.x.c = 8;
    part.of_channels = m.c;
    Values own;
    for (int i = 0; i < m.n; ++i) {
        const auto from = x.begin() + m.at(i, 5, 0, 0);
        own.insert(own.end(), from, from + 8 * m.pixels());
    }
    EXPECT_EQ(forward(table(), part, own, groups), Values(all.begin() + 5, all.begin() + 13));
}

TEST_P(SnnlWgmma, TheSameBitsInEveryOrderOfThreads) {
    const SnnlCase c = rows_of(200, 70);
    const Values x = random_values(c.x.logical(), 1);
    const Groups groups{joined(random_labels(c.x.n, 2, 2), random_labels(c.x.n, 3, 3))};
    Values first;
    for (const uint64_t seed : {0, 1, 2, 3}) {
        emulated::settings().seed = seed;
        emulated::settings().os_threads = seed % 2 ? 2 : 1;
        emulated::settings().late_copy = seed != 3;
        const Values now = forward(table(), c, x, groups);
        if (first.empty()) first = now;
        EXPECT_EQ(now, first) << "seed " << seed;
    }
}

TEST_P(SnnlWgmma, BackwardIsTheReferences) {
    const SnnlCase c = rows_of(131, 6, 3);
    const Values x = random_values(c.x.logical(), 1), dscore = random_values(3, 6), before(size_t(c.x.logical()), 0.0);
    const Groups groups{random_labels(131, 2, 3)};
    expect_close(backward(table(), c, x, groups, dscore, Write::replace, before),
                 backward(exact(), c, x, groups, dscore, Write::replace, before), tolerance(), "dx");
}

// What the heads of the files state: x twice, halves and norms written, per tile and step 32 KB of rows, and of columns
// per strip up to D = 256, else per tile; and per tile and thread 32 labels, what tells whether all pairs are near, and on
// the diagonal, where not all are, as much again.
TEST_P(SnnlWgmma, MovesWhatIsStatedAndMultipliesThreeTimes) {
    if (!emulates()) GTEST_SKIP() << "a GPU does not count";
    for (const int d : {64, 320}) {
        SCOPED_TRACE(text("D ", d));
        constexpr int kN = 256, kC = 2, kTiles = 3, kStrips = 2;
        SnnlCase c = rows_of(kN, d, kC);
        c.of_channels = 1320;
        const Values x = random_values(c.x.logical(), 1);
        const Labels labels = random_labels(kN, 2, 2);
        const Device on{table()};
        const SnnlShape s = shape_on(on, c, 1);
        const int groups = snnl_groups(s).count();
        ASSERT_EQ(groups, d <= 256 ? 1 : 2);  // two, so that the rows at work fit L2
        const Buffer scratch(table(), table().snnl.scratch_bytes(s, false));
        const Tensor map = on.act_in(s.x, x);
        const Array<int32_t> label(table(), labels);
        const Array<double> scores(table(), kC);
        const Counted got = counted([&] {
            table().snnl.forward(s, {.x = map, .labels = label, .strata = nullptr, .scores = scores}, scratch.data(),
                                 {});
        });
        const double steps = d / 64.0, side = 32 * 1024.0, rows = 4.0 * kN * d;
        const double prepared = kC * (3 * rows + 4 * kN);
        const double brought = kC * steps * side * (kTiles + (d <= 256 ? kStrips : kTiles));
        const double compared = kC * 256 * (kTiles * (32 * 4 + 4 * 4 + 3 * 4.0) + kStrips * 32 * 4);
        const double summed = kC * groups * 2 * kN * 8.0;
        const double stated = prepared + brought + compared + summed;
        EXPECT_NEAR(got.bytes / stated, 1, 0.1) << got.bytes << " counted, " << stated << " stated";
        EXPECT_NEAR(got.matrix_flops / (kC * kTiles * 128.0 * 128 * 2 * d * 3), 1, 1e-9);
    }
}

}  // namespace
}  // namespace fp::testing
