// The penalty's value by the score, and its gradient through a whole network by finite differences.
#include "engine/train/snnl_penalty.h"

#include <gtest/gtest.h>

#include "engine/core/loss.h"
#include "engine/prune/criteria/snnl_scores.h"
#include "engine/train/trainer.h"
#include "tests/expect_error.h"
#include "tests/network_values.h"

namespace fp {
namespace {

using testing::expect_error;
using testing::random_network;

constexpr int kSize = 16, kBatch = 6;

struct Step {
    std::unique_ptr<Network> net = {};
    Buffer images = {};
    Map map = {};
    Batch batch = {};

    explicit Step(const ModelSpec& spec)
        : net(random_network(spec, kernels(Backend::reference_f64), 7)),
          map(testing::image_map(net->kernels(), kBatch, kSize)) {
        images = testing::upload_map(net->kernels(), map, [](uint64_t i) { return uniform_double(11, i) - 0.5; });
        batch = {.n = kBatch, .samples = {0, 1, 2, 3, 4, 5}, .labels = {0, 1, 0, 1, 0, -1}};
    }

    // Loss and penalty of one training step, gradients left in the store.
    double run(const Penalty& penalty, bool with_loss) const {
        Session session(*net);
        Tape tape = session.begin({.mode = Mode::train, .dropout = false, .rows = penalty.rows});
        const Var y = net->forward(tape, tape.input({images.as<act>(), map}));
        const CrossEntropy entropy(net->kernels(), net->spec.classes);
        double value = 0;
        std::vector<Tape::Seed> seeds;
        if (with_loss) {
            const LossRow loss = cross_entropy(tape, y, batch.labels, entropy);
            value = mean_loss(tape, loss);
            seeds.push_back({loss.row});
        }
        value += penalty.add(tape, batch, seeds);
        tape.backward(seeds);
        return value;
    }
};

// Three samples of one group, two of the other, the last is unknown to one attribute; the other knows all.
const std::vector<PenaltyAttribute> kAttributes{{"sex", {0, 0, 1, 1, 0, -1}, 3}, {"age", {1, 0, 0, 1, 0, 1}, 1}};

void expect_gradient(const ModelSpec& spec, const SnnlPenaltyOptions& options) {
    const Step step(spec);
    const Penalty penalty = snnl_penalty(options, kAttributes);
    step.run(penalty, true);
    std::map<std::string, std::vector<double>> said;
    for (const Param& p : step.net->params.all())
        if (p.trained()) said[p.name] = step.net->params.get_grad(p);
    int checked = 0;
    for (const auto& [name, gradient] : said) {
        const Param& p = *step.net->params.find(name);
        const std::vector<double> old = step.net->params.get(p);
        const size_t i = uniform_below(gradient.size(), 3, uint64_t(checked));
        constexpr double kStep = 1e-7;  // small, so that no ReLU turns over
        const auto at = [&](double t) {
            std::vector<double> now = old;
            now[i] += t;
            step.net->params.set(p, now.data());
            const double value = step.run(penalty, true);
            step.net->params.set(p, old.data());
            return value;
        };
        const double seen = (at(kStep) - at(-kStep)) / (2 * kStep);
        EXPECT_NEAR(gradient[i], seen, 1e-6 + 1e-4 * std::abs(seen)) << name << " " << i;
        ++checked;
    }
    EXPECT_GT(checked, 20);
}

const ModelSpec kResNet{.arch = "resnet18", .classes = 2, .stem = "small", .width = 0.03125};

TEST(SnnlPenalty, GradientThroughAResNet) {
    expect_gradient(kResNet, {.weight = 5, .layers = "layer2.*", .temperature = 0.5});
}
TEST(SnnlPenalty, GradientAtAConvolutionGivenTheClass) {
    expect_gradient(kResNet, {.weight = 5, .layers = "last", .tap = Tap::convolution, .given_class = true});
}
TEST(SnnlPenalty, GradientAtANormBeforeItsReLU) {
    expect_gradient(kResNet, {.weight = 5, .layers = "layer2.*", .tap = Tap::norm});
}
TEST(SnnlPenalty, GradientThroughAVgg) {
    expect_gradient({.arch = "vgg11", .classes = 2, .width = 0.03125}, {.weight = 5, .layers = "features.1*"});
}

TEST(SnnlPenalty, IsTheMeanOfWhatScoresSay) {
    const Step step(kResNet);
    const SnnlPenaltyOptions options{.weight = 2, .layers = "layer2.1.conv1", .tap = Tap::convolution};
    const double value = step.run(snnl_penalty(options, kAttributes), false);

    // The same maps scored as a calibration set; the padded row is unknown to both.
    const Kernels& k = step.net->kernels();
    Session session(*step.net);
    Tape tape = session.begin({.mode = Mode::train, .dropout = false});
    step.net->forward(tape, tape.input({step.images.as<act>(), step.map}));
    const Tensor x = tape.value(tap_row(tape.nodes(), options.layers, options.tap));
    Features f{.layer = "layer2.1.conv1", .map = x.map, .data = Buffer(k.memory, size_t(x.map.stored()) * 8)};
    k.memory.copy(f.data.data(), x.data, f.data.bytes(), {});
    double want = 0;
    const auto scores =
        score_layer(k, f, {{"sex", {0, 0, 1, 1, 0, -1}}, {"age", {1, 0, 0, 1, 0, -1}}}, {}, {}, Tap::convolution);
    for (int c = 0; c < x.map.c; ++c)
        want += 2 * (0.75 * (1 - scores[0].normalized[c]) + 0.25 * (1 - scores[1].normalized[c])) / x.map.c;
    EXPECT_NEAR(value, want, 1e-12);
}

TEST(SnnlPenalty, ABatchOfOneGroupAddsNothing) {
    const Step step(kResNet);
    const Penalty penalty = snnl_penalty({.weight = 2}, {{"sex", std::vector<int32_t>(kBatch, 1), 1}});
    EXPECT_EQ(step.run(penalty, false), 0);
    for (const Param& p : step.net->params.all()) {
        if (!p.trained()) continue;
        for (const double g : step.net->params.get_grad(p)) EXPECT_EQ(g, 0) << p.name;
    }
}

TEST(SnnlPenalty, WhatCannotBeHadIsRefused) {
    expect_error(
        Exit::usage, [] { snnl_penalty({.weight = 1}, {}); }, "--attribute");
    const Step step(kResNet);
    expect_error(
        Exit::usage, [&] { step.run(snnl_penalty({.weight = 1, .layers = "layer9"}, kAttributes), true); }, "layer9");
    for (Param& p : step.net->params.all()) p.trainable = p.name.starts_with("fc");
    expect_error(
        Exit::usage, [&] { step.run(snnl_penalty({.weight = 1}, kAttributes), true); }, "nothing up to");
}

}  // namespace
}  // namespace fp
