// Clipping by the gradients' norm, which the device keeps to itself: the step before it is a step like others.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "engine/run/checkpoint.h"
#include "engine/train/trainer.h"
#include "kernels/random.h"
#include "models/models.h"
#include "tests/expect_error.h"

namespace fp {
namespace {

std::unique_ptr<Network> thin_network(Backend backend) {
    auto net = models::build({.arch = "resnet18", .classes = 2, .stem = "small", .width = 0.03125}, kernels(backend));
    net->initialize(1);
    return net;
}

// The flat block of gradients, float32: small numbers, and one that may be anything.
void set_gradients(const ParamStore& p, float first) {
    std::vector<float> g(size_t(p.trained_count()));
    for (size_t i = 0; i < g.size(); ++i) g[i] = float(uniform_double(7, i, 0)) - 0.5f;
    g[0] = first;
    p.kernels().memory.copy_in(p.grads(), g.data(), g.size() * sizeof(float), {});
}

// The emulated machine refuses to note what waits, allocates or reads back.
TEST(Clipping, a_step_can_be_noted_and_launched_whole) {
    for (const char* kind : {"sgd", "adamw"}) {
        std::vector<std::string> weights;
        for (const bool noted : {false, true}) {
            const auto net = thin_network(Backend::emulated);
            const Graph& graph = *net->kernels().graph;
            OptimizerState optimizer(net->params, {.kind = kind, .clip_norm = 0.5});
            set_gradients(net->params, 0);
            optimizer.apply(net->params, 0.1);  // what it needs is allocated
            if (noted) graph.begin({});
            optimizer.apply(net->params, 0.1);
            if (noted) {
                void* step = graph.end({});
                graph.launch(step, {});
                graph.release(step);
            }
            net->kernels().memory.synchronize({});
            EXPECT_GT(optimizer.norm(), 0.5) << "nothing was clipped";
            weights.push_back(weights_hash(*net));
        }
        EXPECT_EQ(weights[0], weights[1]) << kind;
    }
}

TEST(Clipping, a_norm_that_is_not_finite_changes_no_weight) {
    const auto net = thin_network(Backend::cpu);
    OptimizerState optimizer(net->params, {.clip_norm = 1});
    EXPECT_EQ(optimizer.norm(), 0);
    set_gradients(net->params, 0);
    optimizer.apply(net->params, 0.1);
    EXPECT_GT(optimizer.norm(), 1);
    const std::string before = weights_hash(*net);
    for (const float bad : {std::numeric_limits<float>::infinity(), std::nanf("")}) {
        set_gradients(net->params, bad);
        optimizer.apply(net->params, 0.1);
        EXPECT_FALSE(std::isfinite(optimizer.norm()));
        EXPECT_EQ(weights_hash(*net), before);
    }
}

TEST(Clipping, a_trainer_stops_before_the_step_after) {
    const auto net = thin_network(Backend::cpu);
    bool spoil = false;
    const auto penalty = [&](Tape& tape, const Batch&, std::vector<Tape::Seed>& seeds) {
        const Var logits = tape.node(seeds[0].root).inputs[0];
        if (spoil)
            tape.on_gradient(logits, [](const Tensor& gradient) { as<float>(gradient.data)[0] = std::nanf(""); });
        return 0.0;
    };
    constexpr int kSide = 8;
    Trainer trainer(*net, {.image_size = kSide}, {.optimizer = {.clip_norm = 1}, .penalty = penalty});
    const std::vector<uint8_t> rgb(2 * kSide * kSide * 3, 100);
    const Batch batch{.n = 2, .samples = {0, 1}, .labels = {0, 1}, .rgb = rgb.data()};
    trainer.batch(batch, 0.01, 0, true);
    EXPECT_NO_THROW(trainer.check_update());
    const auto weight = [&] { return net->params.get(*net->params.find("conv1.weight")); };
    const std::vector<double> before = weight();
    spoil = true;
    trainer.batch(batch, 0.01, 1, true);
    EXPECT_EQ(weight(), before);
    const auto stops = [&](const auto& call) {
        testing::expect_error(Exit::diverged, call, "the gradient's norm is nan", "step 2");
    };
    stops([&] { trainer.check_update(); });
    stops([&] { trainer.save(); });
    stops([&] { trainer.batch(batch, 0.01, 2, true); });
    EXPECT_EQ(weight(), before);
}

}  // namespace
}  // namespace fp
