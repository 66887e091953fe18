#include "tests/kernels/compare.h"

namespace fp::testing {
namespace {

const int64_t kCounts[] = {1, 45, 1000, 4097};

// The parameter block is flat: a map one element wide.
Map flat(int64_t count) { return {.h = int(count)}; }

struct Sgd {
    Values w, v;
};

Sgd sgd(const Kernels& k, const SgdStep& step, const Values& w0, const Values& g0, const Values& v0) {
    const Device on{k};
    const Map map = flat(int64_t(w0.size()));
    const Tensor w = on.par_in(map, w0), g = on.par_in(map, g0), v = on.par_in(map, v0);
    k.optimizer.sgd(map.h, step, {.w = w, .g = g, .v = v}, {});
    return {w.values(), v.values()};
}

struct Adamw {
    Values w, m, v;
};

Adamw adamw(
    const Kernels& k, const AdamwStep& step, const Values& w0, const Values& g0, const Values& m0, const Values& v0) {
    const Device on{k};
    const Map map = flat(int64_t(w0.size()));
    const Tensor w = on.par_in(map, w0), g = on.par_in(map, g0);
    const Tensor m = on.par_in(map, m0), v = on.par_in(map, v0);
    k.optimizer.adamw(map.h, step, {.w = w, .g = g, .m = m, .v = v}, {});
    return {w.values(), m.values(), v.values()};
}

Values blend(const Kernels& k, double keep, const Values& average0, const Values& w0) {
    const Device on{k};
    const Map map = flat(int64_t(w0.size()));
    const Tensor average = on.par_in(map, average0), w = on.par_in(map, w0);
    k.optimizer.blend(map.h, {.keep = keep, .average = average, .w = w}, {});
    return average.values();
}

double sum_squares(const Kernels& k, const Values& g0) {
    const Device on{k};
    const Map map = flat(int64_t(g0.size()));
    const Tensor g = on.par_in(map, g0);
    const Array<double> sum(k, 1);
    const Buffer scratch(k, k.optimizer.scratch_bytes(map.h));
    k.optimizer.sum_squares(map.h, g, sum, scratch.data(), {});
    return sum.values()[0];
}

Values sum_ranks(const Kernels& k, int ranks, const Values& parts, bool in_place) {
    const Device on{k};
    const Map map = flat(int64_t(parts.size())), part = flat(int64_t(parts.size()) / ranks);
    const Tensor from = on.par_in(map, parts), to = on.par_out(part);
    k.optimizer.sum_ranks(part.h, {.ranks = ranks, .parts = from, .to = in_place ? from : to}, {});
    Values sums = (in_place ? from : to).values();
    const Values others = in_place ? Values(parts.begin() + part.h, parts.end()) : Values();  // as they were
    EXPECT_EQ(Values(sums.begin() + part.h, sums.end()), others);
    sums.resize(size_t(part.h));
    return sums;
}

// The factor for a gradient in pieces, on the device, where steps read it.
struct Clipping {
    const Kernels& k;
    Buffer to{k, sizeof(GradientScale)};

    Clipping(const Kernels& table, const std::vector<double>& squares, double scale, double most) : k(table) {
        const Array<double> of_runs(k, squares);
        k.optimizer.clip(int(squares.size()), {.squares = of_runs, .scale = scale, .most = most, .to = on_device()},
                         {});
    }
    GradientScale* on_device() const { return static_cast<GradientScale*>(to.data()); }
    GradientScale read() const {
        GradientScale out;
        const auto bytes = to.read();
        std::memcpy(&out, bytes.data(), sizeof out);
        return out;
    }
};

TEST(Optimizer, ClipByHand) {
    // norm = 0.5 sqrt(9 + 16 + 144) = 6.5, of which 1.3 is a fifth
    const GradientScale down = Clipping(exact(), {9, 16 + 144}, 0.5, 1.3).read();
    EXPECT_DOUBLE_EQ(down.norm, 6.5);
    EXPECT_DOUBLE_EQ(down.factor, 0.5 / 5);
    const GradientScale as_it_is = Clipping(exact(), {9, 16 + 144}, 0.5, 6.5).read();
    EXPECT_EQ(as_it_is.factor, 0.5);
    const GradientScale of_zeros = Clipping(exact(), {0, 0}, 0.5, 1).read();
    EXPECT_EQ(of_zeros.norm, 0);
    EXPECT_EQ(of_zeros.factor, 0.5);
}

TEST(Optimizer, SgdByHand) {
    const SgdStep plain{.lr = 0.5, .momentum = 0.5, .decay = 0.25, .nesterov = false, .scale = 2};
    // g = 2 3 + 0.25 4 = 7, v = 0.5 2 + 7 = 8, w = 4 - 0.5 8
    const auto a = sgd(exact(), plain, {4}, {3}, {2});
    EXPECT_EQ(a.v, (Values{8}));
    EXPECT_EQ(a.w, (Values{0}));
    SgdStep nesterov = plain;
    nesterov.nesterov = true;  // w = 4 - 0.5 (7 + 0.5 8)
    EXPECT_EQ(sgd(exact(), nesterov, {4}, {3}, {2}).w, (Values{-1.5}));
}

TEST(Optimizer, AdamwByHand) {
    // Step 1 from zero: mhat = g, vhat = g^2, so w moves by lr whatever g's size, after the decay.
    const AdamwStep step{.lr = 0.1, .beta1 = 0.9, .beta2 = 0.99, .eps = 0, .decay = 0.5, .step = 1, .scale = 2};
    const auto a = adamw(exact(), step, {4, 4}, {3, -0.25}, {0, 0}, {0, 0});
    expect_close(a.w, {4 - 0.2 - 0.1, 4 - 0.2 + 0.1}, 1e-14, "w");
    expect_close(a.m, {0.6, -0.05}, 1e-14, "m");
    expect_close(a.v, {0.36, 0.0025}, 1e-14, "v");
    // Step 2: m = 0.9 1 + 0.1 2 = 1.1, v = 0.99 4 + 0.01 4 = 4; eps stands outside the root
    const AdamwStep later{.lr = 1, .beta1 = 0.9, .beta2 = 0.99, .eps = 1, .decay = 0, .step = 2, .scale = 1};
    const auto b = adamw(exact(), later, {0}, {2}, {1}, {4});
    expect_close(b.w, {-(1.1 / 0.19) / (2 / std::sqrt(0.0199) + 1)}, 1e-14, "w");
}

TEST(Optimizer, BlendAndSumOfSquaresByHand) {
    EXPECT_EQ(blend(exact(), 0.75, {4, 0}, {8, 1}), (Values{5, 0.25}));
    EXPECT_EQ(sum_squares(exact(), {3, -4, 12}), 169);
}

TEST(Optimizer, SumOfRanksByHand) {
    EXPECT_EQ(sum_ranks(exact(), 3, {1, 2, 10, 20, 100, 200}, false), (Values{111, 222}));
    EXPECT_EQ(sum_ranks(exact(), 1, {1, 2}, false), (Values{1, 2}));
    // In order and rounded to float32 each time: 1 is lost beside 2^24, twice; the other order keeps both.
    const Kernels& f32 = kernels(Backend::reference);
    const double large = 1 << 24;
    EXPECT_EQ(sum_ranks(f32, 3, {large, 1, 1}, false), (Values{large}));
    EXPECT_EQ(sum_ranks(f32, 3, {1, 1, large}, false), (Values{large + 2}));
}

class OptimizerOn : public OnBackend {
protected:
    Values values(int64_t count, uint64_t seed) const { return random_values(count, seed, table().parameter); }
    double tolerance() const { return testing::tolerance(table().parameter); }
};
FP_ON_EVERY_BACKEND(OptimizerOn);

TEST_P(OptimizerOn, Sgd) {
    for (const int64_t count : kCounts)
        for (const bool nesterov : {false, true}) {
            SCOPED_TRACE(text(count, " numbers, nesterov ", nesterov));
            const SgdStep step{.lr = 0.1, .momentum = 0.9, .decay = 1e-2, .nesterov = nesterov, .scale = 0.25};
            const Values w = values(count, 1), g = values(count, 2), v = values(count, 3);
            const auto got = sgd(table(), step, w, g, v), want = sgd(exact(), step, w, g, v);
            expect_close(got.w, want.w, tolerance(), "w");
            expect_close(got.v, want.v, tolerance(), "v");
        }
}

TEST_P(OptimizerOn, Adamw) {
    for (const int64_t count : kCounts)
        for (const int64_t number : {1, 10, 100000}) {
            SCOPED_TRACE(text(count, " numbers, step ", number));
            const AdamwStep step{
                .lr = 0.1, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .decay = 1e-2, .step = number, .scale = 0.25};
            const Values w = values(count, 1), g = values(count, 2), m = values(count, 3);
            Values v = values(count, 4);
            for (double& x : v) x = rounded(x * x, table().parameter);
            const auto got = adamw(table(), step, w, g, m, v);
            const auto want = adamw(exact(), step, w, g, m, v);
            expect_close(got.w, want.w, tolerance(), "w");
            expect_close(got.m, want.m, tolerance(), "m");
            expect_close(got.v, want.v, tolerance(), "v");
        }
}

// The same bits as a step whose factor comes from the host.
TEST_P(OptimizerOn, ClippedStepsReadTheirFactorOnTheDevice) {
    const int64_t count = 1000;
    const Values w = values(count, 1), g = values(count, 2), v = values(count, 3);
    Values positive = values(count, 4);
    for (double& x : positive) x = rounded(x * x, table().parameter);
    const double squares = sum_squares(table(), g), norm = 0.25 * std::sqrt(squares);
    for (const double most : {norm / 3, norm * 3}) {
        SCOPED_TRACE(text("norm ", norm, ", at most ", most));
        const Clipping clipping(table(), {0.75 * squares, 0.25 * squares}, 0.25, most);
        const GradientScale got = clipping.read();
        const GradientScale want = Clipping(exact(), {0.75 * squares, 0.25 * squares}, 0.25, most).read();
        EXPECT_DOUBLE_EQ(got.norm, want.norm);
        EXPECT_DOUBLE_EQ(got.factor, want.factor);
        EXPECT_NEAR(got.factor, most < norm ? 0.25 / 3 : 0.25, 1e-12);

        SgdStep step{.lr = 0.1, .momentum = 0.9, .decay = 1e-2, .nesterov = true};
        step.scale = got.factor;
        const auto told = sgd(table(), step, w, g, v);
        step.scale = 1e9;
        step.clipped = clipping.on_device();
        const auto read = sgd(table(), step, w, g, v);
        EXPECT_EQ(read.w, told.w);
        EXPECT_EQ(read.v, told.v);
        AdamwStep adaptive{.lr = 0.1, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .decay = 1e-2, .step = 10};
        adaptive.scale = got.factor;
        const auto told_adaptive = adamw(table(), adaptive, w, g, v, positive);
        adaptive.scale = 1e9;
        adaptive.clipped = clipping.on_device();
        const auto read_adaptive = adamw(table(), adaptive, w, g, v, positive);
        EXPECT_EQ(read_adaptive.w, told_adaptive.w);
        EXPECT_EQ(read_adaptive.m, told_adaptive.m);
        EXPECT_EQ(read_adaptive.v, told_adaptive.v);
    }
}

TEST_P(OptimizerOn, AGradientThatIsNotFiniteChangesNothing) {
    const int64_t count = 45;
    const Values w = values(count, 1), v = values(count, 3);
    for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
        Values g = values(count, 2);
        g[7] = bad;
        const Clipping clipping(table(), {1.0, sum_squares(table(), g)}, 1, 0.5);
        EXPECT_FALSE(std::isfinite(clipping.read().norm));
        EXPECT_FALSE(std::isfinite(clipping.read().factor));
        SgdStep step{.lr = 0.1, .momentum = 0.9, .decay = 1e-2, .nesterov = true};
        step.clipped = clipping.on_device();
        const auto after = sgd(table(), step, w, g, v);
        EXPECT_EQ(after.w, w);
        EXPECT_EQ(after.v, v);
        AdamwStep adaptive{.lr = 0.1, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .decay = 1e-2, .step = 10};
        adaptive.clipped = clipping.on_device();
        const auto same = adamw(table(), adaptive, w, g, v, v);
        EXPECT_EQ(same.w, w);
        EXPECT_EQ(same.m, v);
        EXPECT_EQ(same.v, v);
    }
}

TEST_P(OptimizerOn, AGradientOfZerosIsNotScaled) {
    const Clipping clipping(table(), {0.0}, 0.5, 1);
    EXPECT_EQ(clipping.read().norm, 0);
    EXPECT_EQ(clipping.read().factor, 0.5);
}

TEST_P(OptimizerOn, BlendAndSumOfSquares) {
    for (const int64_t count : kCounts) {
        SCOPED_TRACE(count);
        const Values a = values(count, 1), w = values(count, 2);
        expect_close(blend(table(), 0.999, a, w), blend(exact(), 0.999, a, w), tolerance(), "average");
        expect_close({sum_squares(table(), a)}, {sum_squares(exact(), a)}, 1e-6, "sum of squares");
    }
}

// The same bits, not close ones.
TEST_P(OptimizerOn, SumOfRanks) {
    const Kernels& single = kernels(Backend::reference);
    for (const int64_t count : {1, 45, 4097, 40000})
        for (const int ranks : {1, 2, 3, 8})
            for (const bool in_place : {false, true}) {
                SCOPED_TRACE(text(count, " numbers, ", ranks, " ranks", in_place ? ", in place" : ""));
                const Values parts = values(count * ranks, 1);
                EXPECT_EQ(sum_ranks(table(), ranks, parts, in_place), sum_ranks(single, ranks, parts, false));
            }
}

}  // namespace
}  // namespace fp::testing
