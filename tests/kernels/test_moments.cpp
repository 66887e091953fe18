// A convolution that leaves the moments of its output, and the batch norm that takes them.
#include "kernels/cuda/plan/conv_choice.h"
#include "tests/kernels/conv_calls.h"

namespace fp::testing {
namespace {

struct MomentsCase {
    const char* name;
    Map x;
    int k, window, stride;
    double bias = 0;  // the mean of the output
    bool image = false;
};

// Parts of one pixel and ragged ones, widths that fill no tile; then the largest tile of mma.sync
// (kernels/cuda/plan/tiling.h).
const MomentsCase kCases[] = {
    {"stem", {.n = 2, .c = 3, .h = 20, .w = 18}, 17, 7, 2, 0, true},
    {"one pixel", {.n = 1, .c = 45, .h = 1, .w = 1}, 17, 3, 1},
    {"odd widths", {.n = 3, .c = 17, .h = 9, .w = 7}, 45, 3, 1},
    {"one channel", {.n = 1, .c = 1, .h = 13, .w = 11}, 1, 3, 1},
    {"a pixel in the last tile", {.n = 1, .c = 16, .h = 1, .w = 129}, 93, 1, 1},
    {"stride 2", {.n = 2, .c = 24, .h = 23, .w = 21}, 40, 3, 2},
    {"far from zero", {.n = 2, .c = 16, .h = 11, .w = 9}, 24, 1, 1, 1000},
};
const MomentsCase kLargeTile{"128 filters", {.n = 2, .c = 8, .h = 93, .w = 95}, 125, 1, 1};

struct Given {
    Values x, w, bias, residual, gamma, beta, running_mean, running_var;
};

Given random_inputs(const MomentsCase& c, const ConvShape& s, Type activation) {
    Given in{.x = random_values(s.x.logical(), 1, activation),
             .w = random_values(s.w.logical(), 2),
             .bias = random_values(s.w.k, 3),
             .residual = random_values(s.y().logical(), 4, activation),
             .gamma = random_values(s.w.k, 5),
             .beta = random_values(s.w.k, 6),
             .running_mean = random_values(s.w.k, 7),
             .running_var = random_values(s.w.k, 8)};
    for (double& v : in.bias) v = rounded(v + c.bias, Type::f32);
    for (double& v : in.running_var) v = rounded(0.5 + v * v, Type::f32);
    return in;
}

struct Normed {
    Values z, mean, rstd, running_mean, running_var;
};

class MomentsOn : public OnBackend {
protected:
    ~MomentsOn() override { conv_forced() = {}; }
    void SetUp() override {
        OnBackend::SetUp();
        if (!IsSkipped() && !table().conv.forward_moments)
            GTEST_SKIP() << "device " << table().name << " takes statistics of what it reads";
    }
    ConvShape shape_of(const MomentsCase& c) const {
        const Device on{table()};
        const Map x = c.image ? on.image(c.x) : on.map(c.x);
        return {.x = x,
                .w = table().filter(c.k, c.x.c, c.window, c.window, x.block),
                .stride = c.stride,
                .pad = c.window / 2,
                .y_block = table().block(c.k)};
    }

    void expect_moments(const MomentsCase& c, bool beside_forward) const {
        const Kernels& k = table();
        const Device on{k};
        SCOPED_TRACE(c.name);
        const ConvShape s = shape_of(c);
        const Given in = random_inputs(c, s, k.activation);
        const Tensor x = on.act_in(s.x, in.x), w = on.par_in(s.w, in.w);
        const Tensor bias = on.par_in(on.channels(s.w.k), in.bias);
        const Tensor y = on.act_out(s.y());
        const Buffer scratch(k, k.conv.scratch_bytes(s));
        const int parts = k.conv.moments_parts(s);
        const Buffer data(k, Moments::bytes(s.y(), parts));
        k.conv.forward_moments(s, {.x = x, .w = w, .bias = bias, .y = y}, {data.data(), parts}, scratch.data(), {});
        const Values stored = y.values();
        if (beside_forward) {
            const Tensor plain = on.act_out(s.y());
            k.conv.forward(s, {.x = x, .w = w, .bias = bias, .y = plain}, scratch.data(), {});
            EXPECT_EQ(stored, plain.values());
        }

        expect_moments_of(stored, data.read(), s, parts);
    }
};
FP_ON_EVERY_PRECISION(MomentsOn);

TEST_P(MomentsOn, AreThoseOfTheStoredOutput) {
    for (const MomentsCase& c : kCases) expect_moments(c, true);
}

TEST_P(MomentsOn, OfTheLargestTile) { expect_moments(kLargeTile, false); }

// Of every kernel and tile of Hopper's products, by few blocks of several tiles each, whose last has few pixels or
// none.
TEST_P(MomentsOn, OfEveryTileOfWarpgroups) {
    if (table().activation != Type::bf16 || GetParam().generation != 90) GTEST_SKIP() << "no warpgroup products";
    for (const ConvTile& t : kConvTiles) {
        if (!(t.passes & kForward) || t.kernel == ConvKernel::split) continue;  // which computes no moments
        SCOPED_TRACE(text(name_of(t.kernel), ", ", t.tile.m, "x", t.tile.n));
        conv_forced() = {.pixels = t.kernel, .tile = t.tile, .blocks = 2};
        expect_moments({"", {.n = 3, .c = 24, .h = 11, .w = 13}, t.tile.n - 3, 3, 1, 10}, true);
        expect_moments({"", {.n = 2, .c = 8, .h = 11, .w = 12}, t.tile.n + 8, 3, 1}, true);
        // Three slices of outputs for two blocks: a block sums one slice after the other.
        expect_moments({"", {.n = 4, .c = 8, .h = 11, .w = 13}, 2 * t.tile.n + 8, 3, 1}, true);
        conv_forced() = {};
    }
}

// On each of Hopper's kernels: few channels, and others.
TEST_P(MomentsOn, AreRefusedInOtherParts) {
    if (table().activation != Type::bf16 || GetParam().generation != 90 || GetParam().backend != Backend::emulated)
        GTEST_SKIP() << "a GPU may be of another generation";
    const Kernels& k = table();
    for (const MomentsCase& c : {kCases[0], kCases[2], kLargeTile}) {
        const ConvShape s = shape_of(c);
        const int parts = k.conv.moments_parts(s) + 1;
        float data = 0;
        EXPECT_THROW(k.conv.forward_moments(s, {.x = nullptr, .w = nullptr, .bias = nullptr, .y = nullptr},
                                            {&data, parts}, nullptr, {}),
                     Error)
            << c.name;
    }
}

TEST_P(MomentsOn, TrainTheBatchNorm) {
    const Kernels& k = table();
    const Device on{k};
    for (const MomentsCase& c : kCases) {
        SCOPED_TRACE(c.name);
        const ConvShape s = shape_of(c);
        const BatchNormShape norm{.x = s.y(), .relu = true, .residual = true};
        const Given in = random_inputs(c, s, k.activation);
        const Map channels = on.channels(s.w.k);
        const Tensor x = on.act_in(s.x, in.x), w = on.par_in(s.w, in.w);
        const Tensor bias = on.par_in(channels, in.bias), y = on.act_out(s.y());
        const Buffer scratch(k, std::max(k.conv.scratch_bytes(s), k.batchnorm.scratch_bytes(norm)));
        const int parts = k.conv.moments_parts(s);
        const Buffer data(k, Moments::bytes(s.y(), parts));
        const Moments moments{data.data(), parts};
        k.conv.forward_moments(s, {.x = x, .w = w, .bias = bias, .y = y}, moments, scratch.data(), {});
        const auto outputs = [&](const Kernels& table, const BatchNormShape& shape, bool told) {
            const Device of{table};
            const Map vector = of.channels(s.w.k);
            const Tensor in_y = of.act_in(shape.x, y.values()), residual = of.act_in(shape.x, in.residual);
            const Tensor gamma = of.par_in(vector, in.gamma), beta = of.par_in(vector, in.beta);
            const Tensor running_mean = of.par_in(vector, in.running_mean),
                         running_var = of.par_in(vector, in.running_var);
            const Tensor z = of.act_out(shape.x), mean = of.par_out(vector), rstd = of.par_out(vector);
            const Buffer space(table, table.batchnorm.scratch_bytes(shape));
            const BatchNorm::Train args{.x = in_y,
                                        .residual = residual,
                                        .gamma = gamma,
                                        .beta = beta,
                                        .running_mean = running_mean,
                                        .running_var = running_var,
                                        .y = z,
                                        .mean = mean,
                                        .rstd = rstd};
            if (told)
                table.batchnorm.train_on_moments(shape, args, moments, {});
            else
                table.batchnorm.train(shape, args, space.data(), {});
            return Normed{z.values(), mean.values(), rstd.values(), running_mean.values(), running_var.values()};
        };
        BatchNormShape plain = norm;
        plain.x = {.n = norm.x.n, .c = norm.x.c, .h = norm.x.h, .w = norm.x.w};
        const Normed got = outputs(k, norm, true), want = outputs(exact(), plain, false);
        // The output is not rounded to TF32, so that type's tolerance is not asked for.
        const double f32 = testing::tolerance(Type::f32);
        expect_close(got.z, want.z, testing::tolerance(k.activation), "z");
        expect_close(got.mean, want.mean, f32, "mean");
        expect_close(got.rstd, want.rstd, f32 * (1 + c.bias / 10), "rstd");
        expect_close(got.running_mean, want.running_mean, f32, "running mean");
        expect_close(got.running_var, want.running_var, f32 * (1 + c.bias / 10), "running variance");
    }
}

// The same bits whatever the order of threads and blocks.
TEST_P(MomentsOn, BitsDoNotDependOnTheOrderOfThreads) {
    if (GetParam().backend != Backend::emulated) GTEST_SKIP() << "no order to choose";
    const emulated::Settings before = emulated::settings();
    const Kernels& k = table();
    const Device on{k};
    const ConvShape s = shape_of(kCases[2]);
    const Given in = random_inputs(kCases[2], s, k.activation);
    const Tensor x = on.act_in(s.x, in.x), w = on.par_in(s.w, in.w), y = on.act_out(s.y());
    const int parts = k.conv.moments_parts(s);
    std::vector<std::byte> first;
    for (const uint64_t seed : {0, 1, 2, 3}) {
        emulated::settings().seed = seed;
        emulated::settings().os_threads = seed % 2 ? 2 : 1;
        const Buffer scratch(k, k.conv.scratch_bytes(s)), data(k, Moments::bytes(s.y(), parts));
        k.conv.forward_moments(s, {.x = x, .w = w, .bias = nullptr, .y = y}, {data.data(), parts}, scratch.data(), {});
        const auto now = data.read();
        if (first.empty()) first = now;
        EXPECT_EQ(now, first) << "seed " << seed;
    }
    emulated::settings() = before;
}

}  // namespace
}  // namespace fp::testing
