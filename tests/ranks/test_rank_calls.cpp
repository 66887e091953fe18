#include "engine/train/rank_calls.h"

#include <gmock/gmock.h>

#include <chrono>
#include <thread>
#include <vector>

#include "kernels/error.h"
#include "tests/expect_error.h"

namespace fp::testing {
namespace {

TEST(RankCalls, are_made_in_their_order) {
    RankCalls calls(kernels(Backend::cpu));
    std::vector<int> made;
    for (int i = 0; i < 100; ++i) calls.submit([&made, i](Stream) { made.push_back(i); });
    calls.wait();
    ASSERT_EQ(made.size(), 100u);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(made[size_t(i)], i);
}

// Whether they were submitted before the failure or after it; then calls go on.
TEST(RankCalls, behind_a_failure_none_is_made_and_it_is_thrown) {
    RankCalls calls(kernels(Backend::cpu));
    for (const bool later : {false, true}) {
        int made = 0;
        calls.submit([](Stream) { fail_with(Exit::device, "rank 1 has closed its connection"); });
        if (later) std::this_thread::sleep_for(std::chrono::milliseconds(50));
        calls.submit([&](Stream) { fail_with(Exit::device, "call ", ++made, " was made"); });
        expect_error(
            Exit::device, [&] { calls.wait(); }, "rank 1 has closed its connection");
        EXPECT_EQ(made, 0);
    }
    int made = 0;
    calls.submit([&](Stream) { ++made; });
    calls.wait();
    EXPECT_EQ(made, 1);
}

}  // namespace
}  // namespace fp::testing
