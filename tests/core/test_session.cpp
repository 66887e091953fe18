// Steps that are captured once and replayed, on the emulated GPU.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "engine/eval/predict.h"
#include "engine/measure/profile_json.h"
#include "engine/run/checkpoint.h"
#include "engine/train/trainer.h"
#include "tests/expect_error.h"
#include "tests/steps.h"

namespace fp {
namespace {

using testing::expect_error;

using testing::Images;
using testing::kBatch;
using testing::kClasses;
using testing::kSide;
using testing::thin_network;

const Kernels& emulated_device() { return kernels(Backend::emulated); }
Kernels without_graphs(const Kernels& from) {
    Kernels k = from;
    k.graph = nullptr;
    return k;
}
const Kernels& plain() {
    static const Kernels table = without_graphs(emulated_device());
    return table;
}

struct Outcome {
    std::vector<double> losses;
    std::string weights;
    int64_t replays;
};

// With the stem whose max pool runs with its norm where that is so.
Outcome train(const Kernels& k, int steps, int accumulate) {
    const auto net = thin_network(k, "imagenet");
    Trainer trainer(*net, {.image_size = kSide}, {.accumulate = accumulate, .ema = 0.9});
    Outcome out;
    for (int i = 0; i < steps; ++i) {
        const Images images(i);
        const Sums sums = trainer.batch(images.batch, 0.1 / (i + 1), uint64_t(i), false);
        EXPECT_EQ(sums.samples, kBatch);
        out.losses.push_back(sums.loss);
    }
    out.weights = weights_hash(*net);
    out.replays = trainer.session().replays();
    return out;
}

class Steps : public ::testing::TestWithParam<std::tuple<Backend, Precision>> {
protected:
    const Kernels* device() const { return find_kernels(std::get<0>(GetParam()), std::get<1>(GetParam())); }
    void expect_same_bits(int steps, int accumulate, int64_t replays) {
        if (!device()) GTEST_SKIP() << "no GPU here: " << gpu();
        const Kernels alone = without_graphs(*device());
        const Outcome whole = train(*device(), steps, accumulate), single = train(alone, steps, accumulate);
        EXPECT_EQ(whole.losses, single.losses);
        EXPECT_EQ(whole.weights, single.weights);
        EXPECT_EQ(single.replays, 0);
        EXPECT_GE(whole.replays, replays);
    }
};

INSTANTIATE_TEST_SUITE_P(Devices,
                         Steps,
                         ::testing::Combine(::testing::Values(Backend::emulated, Backend::cuda),
                                            ::testing::Values(Precision::f32, Precision::tf32, Precision::bf16)),
                         [](const auto& p) {
                             return std::string(name(std::get<0>(p.param))) + "_" +
                                    std::string(name(std::get<1>(p.param)));
                         });

// Two places, each captured at its third time.
TEST_P(Steps, launched_whole_have_the_bits_of_steps_that_are_not) { expect_same_bits(8, 1, 2); }

TEST_P(Steps, whose_gradients_are_added_up_are_captured_apart) { expect_same_bits(12, 3, 1); }

// A norm behind a convolution gets its statistics from the epilogue of the matrix product; as a row of its own it
// reads them. Rounding aside they are the same, and one reading of every convolution's output is saved.
TEST(Session, norms_are_told_their_statistics_by_the_convolution) {
    const Kernels& k = emulated_device();
    const auto net = thin_network(k);
    Session session(*net);
    DeviceInput input(k, {.image_size = kSide});
    const Images images(0);
    const auto forward = [&](Rows rows) {
        Tape tape = session.begin({.mode = Mode::train, .rows = rows});
        const Var logits = net->forward(tape, input(tape, images.batch));
        std::vector<float> out(size_t(tape.value(logits).map.stored()));
        k.memory.copy_out(out.data(), tape.value(logits).data, out.size() * sizeof(float), {});
        for (const Node& node : tape.nodes())
            if (is<BatchNormShape>(node.op)) {
                const BatchNormShape plain{.x = node.value.map};
                EXPECT_EQ(node.bytes - (node.inputs.size() > 1 ? plain.bytes() / 3 : 0),
                          rows == Rows::each_op ? plain.bytes() : plain.infer_bytes())
                    << node.layer;
            }
        return out;
    };
    const std::vector<float> told = forward(Rows::fewest), read = forward(Rows::each_op);
    EXPECT_THAT(told, ::testing::Pointwise(::testing::FloatNear(1e-4f), read));
}

// With a part that also runs on the host, the whole step runs call by call.
TEST(Session, a_step_in_which_the_host_works_is_never_captured) {
    const auto net = thin_network(emulated_device());
    Session session(*net);
    StepGraph graph(session, StepGraph::Reads::parameters);
    int device = 0, both = 0;
    for (int i = 0; i < 6; ++i)
        graph.run({}, {{StepGraph::Part::device, [&] { ++device; }}, {StepGraph::Part::both, [&] { ++both; }}});
    EXPECT_EQ(device, 6);
    EXPECT_EQ(both, 6);
    EXPECT_EQ(session.replays(), 0);
}

TEST(Session, a_step_that_draws_from_its_key_is_never_captured) {
    const auto net = thin_network(emulated_device());
    Session session(*net);
    const Buffer data(emulated_device().memory, 4096);
    emulated_device().memory.zero(data.data(), data.bytes(), {});
    StepGraph graph(session, StepGraph::Reads::parameters);
    for (int i = 0; i < 6; ++i)
        graph.run({}, {{StepGraph::Part::device, [&] {
                            Tape tape = session.begin({.mode = Mode::train});
                            const Map map{.n = 2, .c = 8, .block = 8};
                            dropout(tape, tape.input({data.as<act>(), map}), 0.5);
                        }}});
    EXPECT_EQ(session.replays(), 0);
}

TEST(Session, other_inputs_are_captured_anew) {
    const auto net = thin_network(emulated_device());
    Session session(*net);
    StepGraph graph(session, StepGraph::Reads::parameters);
    const int a = 0, b = 0;
    int runs = 0;
    const auto repeat = [&](StepInputs inputs) {
        runs = 0;
        for (int i = 0; i < 5; ++i) graph.run(inputs, {{StepGraph::Part::device, [&] { ++runs; }}});
    };
    repeat({.n = 4, .at = {&a, &b}});
    EXPECT_EQ(runs, 3) << "twice, and once to capture it";
    EXPECT_EQ(session.replays(), 3);
    repeat({.n = 4, .at = {&a, &b}});
    EXPECT_EQ(runs, 0);
    for (const StepInputs& other :
         {StepInputs{.n = 2, .at = {&a, &b}}, StepInputs{.n = 2, .at = {&b, &b}}, StepInputs{.n = 2, .at = {&b, &a}}}) {
        repeat(other);
        EXPECT_EQ(runs, 3);
    }
}

TEST(Session, a_loss_that_is_not_finite_names_its_layer_in_a_step_launched_whole) {
    const auto net = thin_network(emulated_device());
    Trainer trainer(*net, {.image_size = kSide}, {});
    for (int i = 0; i < 6; ++i) trainer.batch(Images(i).batch, 0.01, uint64_t(i), true);
    ASSERT_GT(trainer.session().replays(), 0);
    const Param& p = *net->params.find("layer2.0.conv1.weight");
    std::vector<double> values = net->params.get(p);
    values[0] = std::numeric_limits<double>::quiet_NaN();
    net->params.set(p, values.data());
    expect_error(
        Exit::diverged, [&] { trainer.batch(Images(6).batch, 0.01, 6, true); }, "batch 6", "conv2d layer2.0.conv1");
}

TEST(Session, what_a_gpu_cannot_note_is_refused) {
    const Kernels& k = emulated_device();
    const Buffer block(k.memory, 64);
    char host[64] = {};
    k.graph->begin({});
    EXPECT_THROW(k.memory.alloc(64), Error);
    EXPECT_THROW(k.memory.synchronize({}), Error);
    EXPECT_THROW(k.memory.copy_out(host, block.data(), 64, {}), Error);
    EXPECT_THROW(k.memory.copy_in(block.data(), host, 64, {}), Error);
    k.graph->release(k.graph->end({}));
}

TEST(Predict, batches_launched_whole_give_the_same_probabilities) {
    std::vector<Predictions> both;
    for (const Kernels* k : {&emulated_device(), &plain()}) {
        const auto net = thin_network(*k);
        ImageData data;
        data.set.name = "images";
        data.set.classes = {"a", "b", "c"};
        std::vector<int64_t> samples;
        for (int i = 0; i < 22; ++i) {
            data.set.samples.push_back({.image = std::to_string(i), .label = i % kClasses});
            samples.push_back(i);
        }
        data.source = [](int64_t sample, const View&, int side, uint8_t* rgb) {
            for (int i = 0; i < side * side * 3; ++i) rgb[i] = uint8_t(mix(uint64_t(i) + 977 * uint64_t(sample)));
        };
        Session session(*net);
        both.push_back(predict({session, {.image_size = kSide}, data, samples, {.batch_size = kBatch, .workers = 1}}));
        EXPECT_EQ(session.replays() > 0, k->graph != nullptr);
        // Other weights, the same session: nothing stale is launched.
        const Param& head = *net->params.find("fc.weight");
        std::vector<double> values = net->params.get(head);
        for (double& v : values) v = -v;
        net->params.set(head, values.data());
        const Predictions turned =
            predict({session, {.image_size = kSide}, data, samples, {.batch_size = kBatch, .workers = 1}});
        EXPECT_NE(turned.prob, both.back().prob);
    }
    EXPECT_EQ(both[0].size(), 22);
    EXPECT_EQ(both[0].prob, both[1].prob);
}

TEST(Profile, every_row_has_a_time_and_a_place_in_the_trace) {
    const auto net = thin_network(emulated_device());
    const auto rows = profile(*net, {.batch_size = 1, .image_size = kSide, .mode = Mode::train, .passes = 1});
    double forward = 0, backward = 0;
    for (const LayerCost& c : rows) {
        EXPECT_GT(c.forward_seconds, 0) << c.layer;
        forward += c.forward_seconds;
        backward += c.backward_seconds;
    }
    EXPECT_GT(backward, 0);
    const auto trace = chrome_trace({{"thin", rows}});
    double total = 0;
    for (const auto& event : trace.at("traceEvents"))
        if (event.at("ph") == "X") total += event.at("dur").get<double>();
    EXPECT_NEAR(total, (forward + backward) * 1e6, 1e-3 * total);
}

}  // namespace
}  // namespace fp
