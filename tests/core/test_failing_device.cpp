// The state of a step, and of a program, after the device has refused a graph or failed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>
#include <sstream>

#include "engine/run/checkpoint.h"
#include "engine/train/trainer.h"
#include "tests/expect_error.h"
#include "tests/failing_device.h"
#include "tests/steps.h"

namespace fp {
namespace {

using testing::expect_error;
using testing::FailingDevice;
using ::testing::HasSubstr;
using testing::Images;
using testing::kSide;
using testing::thin_network;

// What is written to stderr during its life.
struct StandardError {
    std::ostringstream stream;
    std::streambuf* const before = std::cerr.rdbuf(stream.rdbuf());
    ~StandardError() { std::cerr.rdbuf(before); }
    std::string text() const { return stream.str(); }
};

double step(Trainer& trainer, int i) {
    const Images images(i);
    return trainer.batch(images.batch, 0.1 / (i + 1), uint64_t(i), false).loss;
}

struct Outcome {
    std::vector<double> losses;
    std::string weights, err;
    int64_t replays;
};

Outcome train(const Kernels& k) {
    Outcome out;
    const StandardError err;
    {
        const auto net = thin_network(k);
        Trainer trainer(*net, {.image_size = kSide}, {});
        for (int i = 0; i < 10; ++i) out.losses.push_back(step(trainer, i));
        out.weights = weights_hash(*net);
        out.replays = trainer.session().replays();
    }
    out.err = err.text();
    return out;
}

size_t count(const std::string& text, const std::string& part) {
    size_t n = 0;
    for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
    return n;
}

TEST(FailingDevice, a_step_that_cannot_be_captured_runs_call_by_call) {
    const Outcome whole = train(fp::kernels(Backend::emulated));
    ASSERT_GT(whole.replays, 0);
    ASSERT_EQ(whole.err, "");
    for (const auto call : {FailingDevice::begin, FailingDevice::end})
        for (const int after : {0, 1, 2}) {  // forward, backward; the other place's forward
            SCOPED_TRACE(text("call ", int(call), " after ", after));
            FailingDevice device;
            FailingDevice::fails = call;
            FailingDevice::after = after;
            const Outcome single = train(FailingDevice::kernels());
            EXPECT_EQ(single.losses, whole.losses);
            EXPECT_EQ(single.weights, whole.weights);
            EXPECT_LE(single.replays, after < 2 ? 0 : 1);
            EXPECT_EQ(count(single.err, FailingDevice::kFirst), 1u) << single.err;
            EXPECT_EQ(count(single.err, "\n"), 1u) << single.err;
            EXPECT_EQ(FailingDevice::graphs, 0);
        }
}

TEST(FailingDevice, what_a_capture_refuses_is_named_and_is_done_call_by_call) {
    FailingDevice device;
    const auto net = thin_network(FailingDevice::kernels());
    Session session(*net);
    StepGraph graph(session, StepGraph::Reads::parameters);
    int runs = 0;
    const StandardError err;
    for (int i = 0; i < 5; ++i)
        graph.run({}, {{StepGraph::Part::device, [] {}}, {StepGraph::Part::device, [&] {
                                                              const Buffer more(FailingDevice::memory, 64);
                                                              ++runs;
                                                          }}});
    EXPECT_EQ(runs, 5);
    EXPECT_EQ(session.replays(), 0);
    EXPECT_THAT(err.text(), HasSubstr("memory was allocated"));
    EXPECT_EQ(count(err.text(), "\n"), 1u) << err.text();
    EXPECT_EQ(FailingDevice::graphs, 0);
}

TEST(FailingDevice, an_error_of_a_replay_is_thrown_and_the_graphs_are_released) {
    for (const int after : {0, 1}) {
        FailingDevice device;
        const auto net = thin_network(FailingDevice::kernels());
        Trainer trainer(*net, {.image_size = kSide}, {});
        int i = 0;
        for (; i < 8; ++i) step(trainer, i);
        ASSERT_GT(FailingDevice::graphs, 0);
        const int64_t replays = trainer.session().replays();
        FailingDevice::fails = FailingDevice::launch;
        FailingDevice::after = after;
        const int before = FailingDevice::graphs;
        expect_error(
            Exit::device, [&] { step(trainer, i); }, FailingDevice::kFirst);
        EXPECT_LT(FailingDevice::graphs, before);
        EXPECT_GT(step(trainer, i), 0);  // each launch would fail
        EXPECT_EQ(trainer.session().replays(), replays);
    }
}

TEST(FailingDevice, no_destructor_of_a_lost_device_hides_the_first_error) {
    for (const auto call : {FailingDevice::end, FailingDevice::launch, FailingDevice::copy}) {
        SCOPED_TRACE(int(call));
        FailingDevice device;
        FailingDevice::lost = true;
        expect_error(
            Exit::device,
            [&] {
                const StandardError err;
                try {
                    const auto net = thin_network(FailingDevice::kernels());
                    Trainer trainer(*net, {.image_size = kSide}, {.ema = 0.9});
                    FailingDevice::fails = call;
                    for (int i = 0; i < 8; ++i) step(trainer, i);
                    const Trainer::Averaged averaged(trainer);
                } catch (...) {
                    // A refused capture is told on stderr; what comes behind it is the lost device's own.
                    EXPECT_EQ(err.text().empty(), call != FailingDevice::end) << err.text();
                    throw;
                }
            },
            call == FailingDevice::end ? "a lost device" : FailingDevice::kFirst);
    }
}

TEST(FailingDevice, weights_that_could_not_be_put_back_stop_the_run) {
    FailingDevice device;
    const auto net = thin_network(FailingDevice::kernels());
    Trainer trainer(*net, {.image_size = kSide}, {.ema = 0.9});
    step(trainer, 0);
    {
        const Trainer::Averaged averaged(trainer);
        FailingDevice::fails = FailingDevice::copy;
    }
    FailingDevice::fails = FailingDevice::nothing;
    expect_error(
        Exit::device, [&] { step(trainer, 1); }, FailingDevice::kFirst);
    expect_error(
        Exit::device, [&] { trainer.save(); }, FailingDevice::kFirst);
}

}  // namespace
}  // namespace fp
