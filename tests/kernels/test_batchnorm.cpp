#include "tests/kernels/batchnorm_calls.h"
#include "tests/kernels/gradient.h"

namespace fp::testing::norms {
namespace {

const BatchNormCase kCases[] = {
    {"ResNet stem", {.n = 4, .c = 64, .h = 16, .w = 16}},
    {"ResNet stage 4", {.n = 8, .c = 128, .h = 2, .w = 2}},
    {"odd channels", {.n = 3, .c = 45, .h = 5, .w = 7}},
    {"fewer channels than a block", {.n = 3, .c = 3, .h = 9, .w = 9}},
    {"1x1 maps", {.n = 8, .c = 17, .h = 1, .w = 1}},
    {"batch of 1", {.n = 1, .c = 17, .h = 13, .w = 11}},
    {"one channel", {.n = 3, .c = 1, .h = 3, .w = 1}},
    {"two groups of packs", {.n = 2, .c = 270, .h = 3, .w = 5}},
    {"far from zero", {.n = 4, .c = 17, .h = 8, .w = 8}, 30},
};

// One channel of 0, 2, 4, 6: mean 3, variance 5 (biased), 20/3 (unbiased).
const BatchNormShape kByHand{.x = {.n = 2, .c = 1, .h = 1, .w = 2},
                             .eps = 4,  // rstd = 1/3
                             .momentum = 0.25,
                             .relu = true,
                             .residual = true};
const Inputs kByHandInputs{.x = {0, 2, 4, 6},
                           .residual = {0.5, 0.5, 0.5, -5},
                           .gamma = {3},
                           .beta = {1},
                           .running_mean = {7},
                           .running_var = {12}};

TEST(BatchNorm, ByHand) {
    const auto out = train(exact(), kByHand, kByHandInputs);
    // gamma xhat + beta = x - 3 + 1; with the residual -1.5, 0.5, 2.5, -1
    expect_close(out.y, {0, 0.5, 2.5, 0}, 1e-15, "y");
    EXPECT_EQ(out.mean, (Values{3}));
    EXPECT_DOUBLE_EQ(out.rstd[0], 1.0 / 3);
    EXPECT_DOUBLE_EQ(out.running_mean[0], 0.75 * 7 + 0.25 * 3);
    EXPECT_DOUBLE_EQ(out.running_var[0], 0.75 * 12 + 0.25 * 20 / 3);
    // running: rstd = 1/4, so 3 (x - 7) / 4 + 1 + residual = -3.75, -2.25, -0.75, -4.75: shift to see one
    Inputs in = kByHandInputs;
    in.residual = {4.75, 0, 0, 6.75};
    expect_close(infer(exact(), kByHand, in), {0.5, 0, 0, 7}, 1e-15, "y from running statistics");
}

TEST(BatchNorm, BackwardByHand) {
    const Incoming at{.y = {0, 0.5, 2.5, 0},
                      .dy = {9, 1, 3, 9},
                      .mean = {3},
                      .rstd = {1.0 / 3},
                      .dx_before = {1, 1, 1, 1},
                      .dresidual_before = {1, 1, 1, 1},
                      .dgamma_before = {1},
                      .dbeta_before = {1}};
    // g = 0 1 3 0, xhat = -1 -1/3 1/3 1: dbeta = 4, dgamma = 2/3; dx = g - 1 - xhat / 6
    const auto out = backward(exact(), kByHand, Statistics::batch, kByHandInputs, at, Write::replace);
    EXPECT_EQ(out.dresidual, (Values{0, 1, 3, 0}));
    expect_close(out.dbeta, {4}, 1e-15, "dbeta");
    expect_close(out.dgamma, {2.0 / 3}, 1e-15, "dgamma");
    expect_close(out.dx, {-1 + 1.0 / 6, 1.0 / 18, 2 - 1.0 / 18, -1 - 1.0 / 6}, 1e-14, "dx");
    const auto added = backward(exact(), kByHand, Statistics::batch, kByHandInputs, at, Write::add);
    expect_close(added.dx, {1.0 / 6, 1 + 1.0 / 18, 3 - 1.0 / 18, -1.0 / 6}, 1e-14, "dx added");
    EXPECT_EQ(added.dresidual, (Values{1, 2, 4, 1}));
    // frozen: rstd = 1/4, xhat = (x - 7) / 4: dgamma = (-5 - 9) / 4, dx = 3/4 g
    const auto frozen = backward(exact(), kByHand, Statistics::running, kByHandInputs, at, Write::replace);
    expect_close(frozen.dgamma, {-3.5}, 1e-15, "dgamma, frozen");
    expect_close(frozen.dx, {0, 0.75, 2.25, 0}, 1e-15, "dx, frozen");
}

TEST(BatchNorm, OneElementAChannelIsItsOwnMean) {
    const BatchNormShape s{.x = {.n = 1, .c = 2}};
    const Inputs in{.x = {5, -3},
                    .residual = {0, 0},
                    .gamma = {2, 2},
                    .beta = {0.5, 1},
                    .running_mean = {0, 0},
                    .running_var = {1, 1}};
    const auto out = train(exact(), s, in);
    EXPECT_EQ(out.y, in.beta);
    EXPECT_EQ(out.running_var, (Values{0.9, 0.9}));
}

class BatchNormOn : public OnBackend {
protected:
    // body(case, shape on this backend, shape on the reference, inputs)
    template <class Body>
    void for_each_case(const Body& body) const {
        for (const BatchNormCase& c : kCases)
            for (const bool relu : {false, true})
                for (const bool residual : {false, true}) {
                    SCOPED_TRACE(text(c.name, ", relu ", relu, ", residual ", residual));
                    body(shape_on({table()}, c, relu, residual), shape_on({exact()}, c, relu, residual),
                         random_inputs(c, table().activation, table().parameter));
                }
    }

    void expect_backward(Statistics statistics) const {
        for_each_case([&](const BatchNormShape& s, const BatchNormShape& ref, const Inputs& in) {
            const Incoming at = incoming(ref, statistics, in, table().activation, table().parameter);
            struct Form {
                Write dx, dresidual;
                bool wanted;
            };
            for (const Form form :
                 {Form{Write::replace, Write::replace, true}, Form{Write::replace, Write::replace, false},
                  Form{Write::replace, Write::add, true}, Form{Write::add, Write::replace, true}}) {
                SCOPED_TRACE(text("add to dx ", form.dx == Write::add, ", to dresidual ", form.dresidual == Write::add,
                                  ", all gradients ", form.wanted));
                const auto gradients = [&](const Kernels& k, const BatchNormShape& shape) {
                    return backward(k, shape, statistics, in, at, form.dx, form.dresidual, form.wanted);
                };
                const auto got = gradients(table(), s), want = gradients(exact(), ref);
                expect_close(got.dx, want.dx, tolerance(), "dx");
                expect_close(got.dresidual, want.dresidual, tolerance(), "dresidual");
                expect_close(got.dgamma, want.dgamma, tolerance(), "dgamma");
                expect_close(got.dbeta, want.dbeta, tolerance(), "dbeta");
            }
        });
    }
};
FP_ON_EVERY_BACKEND(BatchNormOn);

TEST_P(BatchNormOn, Train) {
    for_each_case([&](const BatchNormShape& s, const BatchNormShape& ref, const Inputs& in) {
        const auto got = train(table(), s, in), want = train(exact(), ref, in);
        expect_close(got.y, want.y, tolerance(), "y");
        expect_close(got.mean, want.mean, tolerance(), "mean");
        expect_close(got.rstd, want.rstd, tolerance(), "rstd");
        expect_close(got.running_mean, want.running_mean, tolerance(), "running mean");
        expect_close(got.running_var, want.running_var, tolerance(), "running variance");
    });
}

TEST_P(BatchNormOn, AddedGradientsAreRoundedFirst) {
    if (table().name.starts_with("cudnn")) GTEST_SKIP();
    for_each_case([&](const BatchNormShape& s, const BatchNormShape& ref, const Inputs& in) {
        for (const Statistics statistics : {Statistics::batch, Statistics::running}) {
            const Incoming at = incoming(ref, statistics, in, table().activation, table().parameter);
            const auto sum = backward(table(), s, statistics, in, at, Write::add, Write::add),
                       added = backward(table(), s, statistics, in, at, Write::replace, Write::replace);
            expect_sum(sum.dgamma, at.dgamma_before, added.dgamma, table().parameter, "dgamma");
            expect_sum(sum.dbeta, at.dbeta_before, added.dbeta, table().parameter, "dbeta");
        }
    });
}

// The batch's own statistics, as momentum 1 leaves them, move the running ones to the bit as train does.
TEST_P(BatchNormOn, RunningStatisticsFollowOtherBatches) {
    if (table().name.starts_with("cudnn")) GTEST_SKIP();
    for (const double momentum : {0.1, 0.25, 1.0 / 3})
        for_each_case([&](BatchNormShape s, const BatchNormShape&, const Inputs& in) {
            s.momentum = momentum;
            Inputs second = in;
            for (double& v : second.x) v = rounded(1.5 * v - 0.25, table().activation);
            const auto mine = train(table(), s, in);
            Inputs next = second;
            next.running_mean = mine.running_mean, next.running_var = mine.running_var;
            const auto want = train(table(), s, next);

            BatchNormShape own = s;
            own.momentum = 1;
            const Device on{table()};
            const auto follow = [&](const Values& running, Values Outputs::*statistic) {
                const int64_t stored = on.channels(s.x.c).stored_c();
                Values batches(size_t(2 * stored), 0);
                int64_t at = 0;
                for (const Inputs& of : {in, second}) {
                    const Values values = train(table(), own, of).*statistic;
                    std::copy(values.begin(), values.end(), batches.begin() + at);
                    at += stored;
                }
                const Tensor moved = on.par_in(on.channels(s.x.c), running);
                const Tensor of = on.par_in(on.channels(int(2 * stored)), batches);
                table().batchnorm.follow(stored, 2, momentum, {.running = moved, .of = of}, {});
                return moved.values();
            };
            EXPECT_EQ(follow(in.running_mean, &Outputs::running_mean), want.running_mean);
            EXPECT_EQ(follow(in.running_var, &Outputs::running_var), want.running_var);
        });
}

TEST_P(BatchNormOn, Infer) {
    for_each_case([&](const BatchNormShape& s, const BatchNormShape& ref, const Inputs& in) {
        expect_close(infer(table(), s, in), infer(exact(), ref, in), tolerance(), "y");
    });
}

TEST_P(BatchNormOn, Backward) { expect_backward(Statistics::batch); }
TEST_P(BatchNormOn, BackwardFrozen) { expect_backward(Statistics::running); }

// ReLU's gradient of a y that is NaN is dy, as in PyTorch.
TEST_P(BatchNormOn, NanPassesTheGradient) {
    if (GetParam().backend == Backend::cudnn) GTEST_SKIP() << "device cudnn decides for itself";
    const BatchNormCase& c = kCases[2];
    const BatchNormShape s = shape_on({table()}, c, true, true), ref = shape_on({exact()}, c, true, true);
    const Inputs in = random_inputs(c, table().activation, table().parameter);
    for (const Statistics statistics : {Statistics::batch, Statistics::running}) {
        Incoming at = incoming(ref, statistics, in, table().activation, table().parameter);
        at.y[7] = at.y[300] = std::nan("");
        at.dy[7] = at.dy[300] = 50;
        const auto got = backward(table(), s, statistics, in, at, Write::replace),
                   want = backward(exact(), ref, statistics, in, at, Write::replace);
        EXPECT_EQ(want.dresidual[7], 50);
        EXPECT_EQ(got.dresidual, want.dresidual);
        expect_close(got.dx, want.dx, tolerance(), "dx");
        expect_close(got.dbeta, want.dbeta, tolerance(), "dbeta");
    }
}

// Large enough that a thread of the CUDA kernels runs more steps than their rings have slots.
TEST_P(BatchNormOn, LargeMaps) {
    if (GetParam().backend != Backend::emulated && GetParam().backend != Backend::cuda)
        GTEST_SKIP() << "device " << table().name << " has its large maps above";
    const BatchNormCase c{"", {.n = 3, .c = 45, .h = 167, .w = 167}};
    const BatchNormShape s = shape_on({table()}, c, true, true), ref = shape_on({exact()}, c, true, true);
    const Inputs in = random_inputs(c, table().activation, table().parameter);
    const auto out = train(table(), s, in), want = train(exact(), ref, in);
    expect_close(out.y, want.y, tolerance(), "y");
    expect_close(out.mean, want.mean, 1e-4, "mean");  // of near 0: float32 sums of 2^17 numbers
    expect_close(out.rstd, want.rstd, 1e-5, "rstd");
    const Incoming at{.y = rounded_to(want.y, table().activation),
                      .dy = random_values(s.x.logical(), 11, table().activation),
                      .mean = rounded_to(want.mean, table().parameter),
                      .rstd = rounded_to(want.rstd, table().parameter)};
    const auto got = backward(table(), s, Statistics::batch, in, at, Write::replace),
               wanted = backward(exact(), ref, Statistics::batch, in, at, Write::replace);
    expect_close(got.dx, wanted.dx, tolerance(), "dx");
    EXPECT_EQ(got.dresidual, wanted.dresidual);
    expect_close(got.dgamma, wanted.dgamma, 1e-4, "dgamma");
    expect_close(got.dbeta, wanted.dbeta, 1e-4, "dbeta");
}

TEST(BatchNorm, BackwardIsTheGradient) {
    const BatchNormCase cases[] = {{"", {.n = 3, .c = 2, .h = 2, .w = 3}},
                                   {"1x1 maps", {.n = 4, .c = 3, .h = 1, .w = 1}}};
    for (const BatchNormCase& c : cases)
        for (const Statistics statistics : {Statistics::batch, Statistics::running})
            for (const bool relu : {false, true}) {
                SCOPED_TRACE(text(c.name, " batch ", statistics == Statistics::batch, " relu ", relu));
                const BatchNormShape s = shape_on({exact()}, c, relu, true);
                const Inputs given = random_inputs(c, Type::f64, Type::f64);
                const auto at = [&](const std::vector<Values>& v) {
                    Inputs in = given;
                    in.x = v[0], in.residual = v[1], in.gamma = v[2], in.beta = v[3];
                    return in;
                };
                const auto forward = [&](const std::vector<Values>& v) {
                    return statistics == Statistics::batch ? train(exact(), s, at(v)).y : infer(exact(), s, at(v));
                };
                expect_gradient({given.x, given.residual, given.gamma, given.beta}, forward,
                                [&](const std::vector<Values>& v, const Values& dy, const std::vector<Values>& before) {
                                    const auto out = train(exact(), s, at(v));
                                    const auto [dx, dresidual, dgamma, dbeta] = backward(exact(), s, statistics, at(v),
                                                                                         {.y = forward(v),
                                                                                          .dy = dy,
                                                                                          .mean = out.mean,
                                                                                          .rstd = out.rstd,
                                                                                          .dx_before = before[0],
                                                                                          .dresidual_before = before[1],
                                                                                          .dgamma_before = before[2],
                                                                                          .dbeta_before = before[3]},
                                                                                         Write::add);
                                    return std::vector<Values>{dx, dresidual, dgamma, dbeta};
                                });
            }
}

}  // namespace
}  // namespace fp::testing::norms
