#include "engine/measure/stopwatch.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "models/models.h"

namespace fp {
namespace {

struct Enough {};

TEST(Stopwatch, tells_its_progress_and_can_be_ended_between_rounds) {
    auto net =
        models::build({.arch = "resnet18", .classes = 2, .stem = "small", .width = 0.03125}, kernels(Backend::cpu));
    net->initialize(1);
    std::vector<int64_t> seen;
    TimingOptions o{.batch_size = 1, .image_size = 8, .seconds = 0, .min_rounds = 4};
    o.progress = [&](int64_t done, int64_t all) {
        EXPECT_EQ(all, 1000);
        seen.push_back(done);
    };
    EXPECT_EQ(time_in_turns({net.get()}, o)[0].size(), 4u);
    EXPECT_TRUE(std::ranges::is_sorted(seen));
    EXPECT_EQ(seen.front(), 0);
    EXPECT_EQ(seen.back(), 1000);
    o.seconds = 1e9;
    o.progress = [&](int64_t done, int64_t) {
        if (done > 0 || seen.size() > 100) throw Enough{};
        seen.push_back(done);
    };
    EXPECT_THROW(time_in_turns({net.get()}, o), Enough);
    ProfileOptions passes{.batch_size = 1, .image_size = 8, .passes = 1'000'000};
    passes.progress = [](int64_t done, int64_t) {
        if (done == 3) throw Enough{};
    };
    EXPECT_THROW(profile(*net, passes), Enough);
}

TEST(Stopwatch, rounds_and_warm_up_are_as_many_as_asked_for) {
    auto net =
        models::build({.arch = "resnet18", .classes = 2, .stem = "small", .width = 0.03125}, kernels(Backend::cpu));
    net->initialize(1);
    int calls = 0;
    TimingOptions o{.batch_size = 1, .image_size = 8, .seconds = 1e9, .min_rounds = 5, .most_rounds = 5};
    o.warm_up_rounds = 7;
    o.progress = [&](int64_t, int64_t) { ++calls; };
    const std::vector<RunTimes> runs = times_in_turns({net.get()}, o)[0];
    EXPECT_EQ(runs.size(), 5u);
    EXPECT_EQ(calls, 7 + 5 + 1);
    for (const RunTimes& r : runs) {
        EXPECT_GT(r.enqueue, 0);
        EXPECT_LE(r.enqueue, r.seconds);
        EXPECT_GT(r.cpu, 0);
    }
    const CopyTimes copies = TimedNetwork(*net, o).copy_times();
    EXPECT_GT(copies.in, 0);
    EXPECT_GT(copies.out, 0);
}

}  // namespace
}  // namespace fp
