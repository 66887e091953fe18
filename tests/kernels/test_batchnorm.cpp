#include "tests/kernels/gradient.h"

namespace fp::testing {
namespace {

struct BatchNormCase {
    const char* name;
    Map x;
    double offset = 0;  // of every x: one-pass sums of squares lose their digits to it
};

const BatchNormCase kCases[] = {
    {"ResNet stem", {.n = 4, .c = 64, .h = 16, .w = 16}},
    {"ResNet stage 4", {.n = 8, .c = 128, .h = 2, .w = 2}},
    {"odd channels", {.n = 3, .c = 45, .h = 5, .w = 7}},
    {"fewer channels than a block", {.n = 3, .c = 3, .h = 9, .w = 9}},
    {"1x1 maps", {.n = 8, .c = 17, .h = 1, .w = 1}},
    {"batch of 1", {.n = 1, .c = 17, .h = 13, .w = 11}},
    {"one channel", {.n = 3, .c = 1, .h = 3, .w = 1}},
    {"far from zero", {.n = 4, .c = 17, .h = 8, .w = 8}, 30},
};

struct Inputs {
    Values x, residual, gamma, beta, running_mean, running_var;
};

// What backward is given besides x, gamma and the running statistics, and what its buffers hold before.
struct Incoming {
    Values y, dy, mean, rstd;
    Values dx_before, dresidual_before, dgamma_before, dbeta_before;
};

struct Outputs {
    Values y, mean, rstd, running_mean, running_var;
};

struct Gradients {
    Values dx, dresidual, dgamma, dbeta;
};

enum class Statistics { batch, running };

BatchNormShape shape_on(const Device& on, const BatchNormCase& c, bool relu, bool residual) {
    return {.x = on.map(c.x), .relu = relu, .residual = residual};
}

Inputs random_inputs(const BatchNormCase& c, Type activation, Type parameter) {
    Inputs in{.x = random_values(c.x.logical(), 1),
              .residual = random_values(c.x.logical(), 2, activation),
              .gamma = random_values(c.x.c, 3, parameter),
              .beta = random_values(c.x.c, 4, parameter),
              .running_mean = random_values(c.x.c, 5, parameter),
              .running_var = random_values(c.x.c, 6, parameter)};
    for (double& v : in.x) v = rounded(v + c.offset, activation);
    for (double& v : in.running_mean) v = rounded(v + c.offset, parameter);
    for (double& v : in.running_var) v = rounded(0.5 + v * v, parameter);
    return in;
}

Outputs train(const Kernels& k, const BatchNormShape& s, const Inputs& in) {
    const Device on{k};
    const Map per_channel = on.channels(s.x.c);
    const Buffer scratch(k, k.batchnorm.scratch_bytes(s));
    const Tensor x = on.act_in(s.x, in.x), residual = on.act_in(s.x, in.residual);
    const Tensor gamma = on.par_in(per_channel, in.gamma), beta = on.par_in(per_channel, in.beta);
    const Tensor running_mean = on.par_in(per_channel, in.running_mean);
    const Tensor running_var = on.par_in(per_channel, in.running_var);
    const Tensor y = on.act_out(s.x);
    const Tensor mean = on.par_out(per_channel), rstd = on.par_out(per_channel);
    k.batchnorm.train(s, x, residual.if_given(s.residual), gamma, beta, running_mean, running_var,
                      y, mean, rstd, scratch.data(), {});
    return {y.values(), mean.values(), rstd.values(), running_mean.values(), running_var.values()};
}

Values infer(const Kernels& k, const BatchNormShape& s, const Inputs& in) {
    const Device on{k};
    const Map per_channel = on.channels(s.x.c);
    const Tensor x = on.act_in(s.x, in.x), residual = on.act_in(s.x, in.residual);
    const Tensor gamma = on.par_in(per_channel, in.gamma), beta = on.par_in(per_channel, in.beta);
    const Tensor running_mean = on.par_in(per_channel, in.running_mean);
    const Tensor running_var = on.par_in(per_channel, in.running_var);
    const Tensor y = on.act_out(s.x);
    k.batchnorm.infer(s, x, residual.if_given(s.residual), gamma, beta, running_mean, running_var,
                      y, {});
    return y.values();
}

// `wanted` says whether the optional gradients are asked for.
Gradients backward(const Kernels& k,
                   const BatchNormShape& s,
                   Statistics statistics,
                   const Inputs& in,
                   const Incoming& at,
                   Write write,
                   bool wanted = true) {
    const Device on{k};
    const Map per_channel = on.channels(s.x.c);
    const Buffer scratch(k, k.batchnorm.scratch_bytes(s));
    const Tensor x = on.act_in(s.x, in.x), y = on.act_in(s.x, at.y), dy = on.act_in(s.x, at.dy);
    const Tensor gamma = on.par_in(per_channel, in.gamma);
    const bool batch = statistics == Statistics::batch;
    const Tensor first = on.par_in(per_channel, batch ? at.mean : in.running_mean);
    const Tensor second = on.par_in(per_channel, batch ? at.rstd : in.running_var);
    const Tensor dx = on.act_grad(s.x, write, at.dx_before);
    const Tensor dresidual = on.act_grad(s.x, write, at.dresidual_before);
    const Tensor dgamma = on.par_grad(per_channel, write, at.dgamma_before);
    const Tensor dbeta = on.par_grad(per_channel, write, at.dbeta_before);
    const bool residual = wanted && s.residual;
    const BatchNorm::Backward out{.dx = dx,
                                  .dx_write = write,
                                  .dresidual = dresidual.if_given(residual),
                                  .dresidual_write = write,
                                  .dgamma = dgamma.if_given(wanted),
                                  .dbeta = dbeta.if_given(wanted),
                                  .par_write = write};
    const auto run = batch ? k.batchnorm.backward : k.batchnorm.backward_frozen;
    run(s, x, y, dy, gamma, first, second, out, scratch.data(), {});
    return {.dx = dx.values(),
            .dresidual = residual ? dresidual.values() : Values(),
            .dgamma = wanted ? dgamma.values() : Values(),
            .dbeta = wanted ? dbeta.values() : Values()};
}

Values rounded_to(Values values, Type type) {
    for (double& v : values) v = rounded(v, type);
    return values;
}

// The forward results that backward needs, as the reference computes them.
Incoming incoming(const BatchNormShape& exact_shape,
                  Statistics statistics,
                  const Inputs& in,
                  Type activation,
                  Type parameter) {
    const auto out = train(exact(), exact_shape, in);
    const int64_t count = exact_shape.x.logical();
    const int channels = exact_shape.x.c;
    return {
        .y = rounded_to(statistics == Statistics::batch ? out.y : infer(exact(), exact_shape, in),
                        activation),
        .dy = random_values(count, 11, activation),
        .mean = rounded_to(out.mean, parameter),
        .rstd = rounded_to(out.rstd, parameter),
        .dx_before = random_values(count, 12, activation),
        .dresidual_before = random_values(count, 13, activation),
        .dgamma_before = random_values(channels, 14, parameter),
        .dbeta_before = random_values(channels, 15, parameter)};
}

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
    const auto out =
        backward(exact(), kByHand, Statistics::batch, kByHandInputs, at, Write::replace);
    EXPECT_EQ(out.dresidual, (Values{0, 1, 3, 0}));
    expect_close(out.dbeta, {4}, 1e-15, "dbeta");
    expect_close(out.dgamma, {2.0 / 3}, 1e-15, "dgamma");
    expect_close(out.dx, {-1 + 1.0 / 6, 1.0 / 18, 2 - 1.0 / 18, -1 - 1.0 / 6}, 1e-14, "dx");
    const auto added = backward(exact(), kByHand, Statistics::batch, kByHandInputs, at, Write::add);
    expect_close(added.dx, {1.0 / 6, 1 + 1.0 / 18, 3 - 1.0 / 18, -1.0 / 6}, 1e-14, "dx added");
    EXPECT_EQ(added.dresidual, (Values{1, 2, 4, 1}));
    // frozen: rstd = 1/4, xhat = (x - 7) / 4: dgamma = (-5 - 9) / 4, dx = 3/4 g
    const auto frozen =
        backward(exact(), kByHand, Statistics::running, kByHandInputs, at, Write::replace);
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
                    body(shape_on({table()}, c, relu, residual),
                         shape_on({exact()}, c, relu, residual),
                         random_inputs(c, table().activation, table().parameter));
                }
    }

    void expect_backward(Statistics statistics) const {
        for_each_case([&](const BatchNormShape& s, const BatchNormShape& ref, const Inputs& in) {
            const Incoming at =
                incoming(ref, statistics, in, table().activation, table().parameter);
            for (const Write write : {Write::replace, Write::add})
                for (const bool wanted : {true, false}) {
                    SCOPED_TRACE(text("add ", write == Write::add, ", all gradients ", wanted));
                    const auto got = backward(table(), s, statistics, in, at, write, wanted);
                    const auto want = backward(exact(), ref, statistics, in, at, write, wanted);
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

TEST_P(BatchNormOn, Infer) {
    for_each_case([&](const BatchNormShape& s, const BatchNormShape& ref, const Inputs& in) {
        expect_close(infer(table(), s, in), infer(exact(), ref, in), tolerance(), "y");
    });
}

TEST_P(BatchNormOn, Backward) { expect_backward(Statistics::batch); }
TEST_P(BatchNormOn, BackwardFrozen) { expect_backward(Statistics::running); }

// Backward of what train has left on the device: ReLU's mask from y, computed again, or from the bits behind y.
TEST_P(BatchNormOn, BackwardHasTheMaskFromWhereItLikes) {
    const Kernels& k = table();
    if (!k.batchnorm.bits_bytes) GTEST_SKIP() << "device " << k.name << " reads y";
    const Device on{k};
    for_each_case([&](const BatchNormShape& shape, const BatchNormShape&, const Inputs& in) {
        if (!shape.relu) return;
        const Map channels = on.channels(shape.x.c);
        const Tensor x = on.act_in(shape.x, in.x), residual = on.act_in(shape.x, in.residual),
                     dy = on.act_in(shape.x, random_values(shape.x.logical(), 11, k.activation));
        const Tensor gamma = on.par_in(channels, in.gamma), beta = on.par_in(channels, in.beta);
        const auto run = [&](bool again, bool bits) {
            BatchNormShape s = shape;
            s.bits = bits;
            const Tensor running_mean = on.par_in(channels, in.running_mean),
                         running_var = on.par_in(channels, in.running_var);
            const size_t map_bytes = size_t(s.x.stored()) * size_t(bytes_of(k.activation));
            const Buffer y(k, map_bytes + k.batchnorm.bits_bytes(s)),
                scratch(k, k.batchnorm.scratch_bytes(s));
            const Tensor mean = on.par_out(channels), rstd = on.par_out(channels);
            k.batchnorm.train(s, x, residual.if_given(s.residual), gamma, beta, running_mean,
                              running_var, y.data(), mean, rstd, scratch.data(), {});
            const Tensor dx = on.act_out(s.x), dresidual = on.act_out(s.x),
                         dgamma = on.par_out(channels), dbeta = on.par_out(channels);
            const BatchNorm::Backward out{.dx = dx,
                                          .dx_write = Write::replace,
                                          .dresidual = dresidual.if_given(s.residual),
                                          .dresidual_write = Write::replace,
                                          .dgamma = dgamma,
                                          .dbeta = dbeta,
                                          .par_write = Write::replace,
                                          .beta = again ? static_cast<void*>(beta) : nullptr};
            k.batchnorm.backward(s, x, y.data(), dy, gamma, mean, rstd, out, scratch.data(), {});
            return std::vector<Values>{dx.values(), s.residual ? dresidual.values() : Values(),
                                       dgamma.values(), dbeta.values()};
        };
        const auto read = run(false, false);
        EXPECT_EQ(run(true, false), read) << "again";
        EXPECT_EQ(run(true, true), read) << "bits";
    });
}

// ReLU and the max pool behind it: the same bits as op after op.
TEST_P(BatchNormOn, PoolsAsTheOpsDo) {
    const Kernels& k = table();
    if (!k.batchnorm.pools) GTEST_SKIP() << "device " << k.name << " pools apart";
    const Device on{k};
    for (const Map& logical :
         {Map{.n = 3, .c = 64, .h = 16, .w = 16}, Map{.n = 2, .c = 45, .h = 31, .w = 9},
          Map{.n = 1, .c = 3, .h = 1, .w = 1}}) {
        const BatchNormCase c{"", logical};
        const BatchNormShape s = shape_on(on, c, true, false);
        const MaxPoolShape pool{.x = s.x, .window = 3, .stride = 2, .pad = 1};
        ASSERT_TRUE(k.batchnorm.pools(s, pool));
        const Inputs in = random_inputs(c, k.activation, k.parameter);
        const Map channels = on.channels(s.x.c);
        const Tensor x = on.act_in(s.x, in.x);
        const Tensor dy = on.act_in(pool.y(), random_values(pool.y().logical(), 11, k.activation));
        const Tensor gamma = on.par_in(channels, in.gamma), beta = on.par_in(channels, in.beta);
        constexpr int kRows = 64;
        const Buffer data(k, Moments::bytes(s.x, kRows));
        k.memory.zero(data.data(), Moments::bytes(s.x, kRows), {});
        const Moments moments{data.data(), kRows};
        const Buffer scratch(
            k, std::max(k.batchnorm.scratch_bytes(s), k.batchnorm.pool_scratch_bytes(s, pool)));
        const auto run = [&](bool fused) {
            const Tensor running_mean = on.par_in(channels, in.running_mean),
                         running_var = on.par_in(channels, in.running_var),
                         mean = on.par_out(channels), rstd = on.par_out(channels),
                         dgamma = on.par_out(channels), dbeta = on.par_out(channels);
            const Tensor y = on.act_out(pool.y()), dx = on.act_out(s.x), z = on.act_out(s.x),
                         dz = on.act_out(s.x);
            const Array<uint8_t> argmax(k, size_t(pool.y().stored()));
            const BatchNorm::Backward out{.dx = dx,
                                          .dx_write = Write::replace,
                                          .dgamma = dgamma,
                                          .dbeta = dbeta,
                                          .par_write = Write::replace};
            if (fused) {
                k.batchnorm.pool_on_moments(s, pool, x, moments, gamma, beta, running_mean,
                                            running_var, y, argmax, mean, rstd, {});
                k.batchnorm.pool_backward(s, pool, x, dy, argmax, gamma, mean, rstd, out,
                                          scratch.data(), {});
            } else {
                k.batchnorm.train_on_moments(s, x, moments, nullptr, gamma, beta, running_mean,
                                             running_var, z, mean, rstd, {});
                k.maxpool.forward(pool, z, y, argmax, {});
                k.maxpool.backward(pool, dy, argmax, dz, Write::replace, {});
                k.batchnorm.backward(s, x, z, dz, gamma, mean, rstd, out, scratch.data(), {});
            }
            return std::vector<Values>{y.values(), dx.values(), dgamma.values(), dbeta.values()};
        };
        const auto got = run(true), want = run(false);
        EXPECT_EQ(got[0], want[0]) << "y";
        // The pool's gradient is not rounded between.
        for (const int i : {1, 2, 3}) expect_close(got[size_t(i)], want[size_t(i)], 2e-2, "");
    }
}

TEST(BatchNorm, BackwardIsTheGradient) {
    const BatchNormCase cases[] = {{"", {.n = 3, .c = 2, .h = 2, .w = 3}},
                                   {"1x1 maps", {.n = 4, .c = 3, .h = 1, .w = 1}}};
    for (const BatchNormCase& c : cases)
        for (const Statistics statistics : {Statistics::batch, Statistics::running})
            for (const bool relu : {false, true}) {
                SCOPED_TRACE(
                    text(c.name, " batch ", statistics == Statistics::batch, " relu ", relu));
                const BatchNormShape s = shape_on({exact()}, c, relu, true);
                const Inputs given = random_inputs(c, Type::f64, Type::f64);
                const auto at = [&](const std::vector<Values>& v) {
                    Inputs in = given;
                    in.x = v[0], in.residual = v[1], in.gamma = v[2], in.beta = v[3];
                    return in;
                };
                const auto forward = [&](const std::vector<Values>& v) {
                    return statistics == Statistics::batch ? train(exact(), s, at(v)).y
                                                           : infer(exact(), s, at(v));
                };
                expect_gradient({given.x, given.residual, given.gamma, given.beta}, forward,
                                [&](const std::vector<Values>& v, const Values& dy,
                                    const std::vector<Values>& before) {
                                    const auto out = train(exact(), s, at(v));
                                    const auto [dx, dresidual, dgamma, dbeta] =
                                        backward(exact(), s, statistics, at(v),
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
}  // namespace fp::testing
