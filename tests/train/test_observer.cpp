#include "engine/train/observer.h"

#include <gtest/gtest.h>

namespace fp {
namespace {

struct Seen {
    std::vector<ProgressState> states = {};
    bool stop = false;
    Observer observer() {
        return {.progress = [this](const ProgressState& p) { states.push_back(p); }, .stop = [this] { return stop; }};
    }
};

TEST(Observer, steps_are_shown_from_the_beginning_and_end_where_the_run_is_to_stop) {
    Seen seen;
    const Steps step = seen.observer().steps({.what = "scoring", .unit = "layers"});
    step(3, 10);
    ASSERT_EQ(seen.states.size(), 2u);
    EXPECT_EQ(seen.states[0].done, 0);
    EXPECT_EQ(seen.states[1].done, 3);
    EXPECT_EQ(seen.states[1].total, 10);
    EXPECT_EQ(seen.states[1].what, "scoring");
    seen.stop = true;
    EXPECT_THROW(step(4, 10), Stopped);
    EXPECT_THROW(seen.observer().brief("more"), Stopped);
    EXPECT_EQ(seen.states.size(), 2u);
    Observer{}.brief("nobody looks")(1, 2);
}

// Two of three parts took 10 s and 20 s; 4 s into the third 11 s are left of it, as it would take 15 s.
TEST(Observer, parts_are_numbered_and_tell_the_time_left_of_the_whole) {
    Seen seen;
    double now = 100;
    Parts parts(seen.observer(), 3, [&] { return now; });
    const Observer first = parts.next("a");
    first.update({.what = "x"});
    now += 10;
    parts.next("b").update({.what = "x"});
    now += 20;
    const Observer third = parts.next("c");
    now += 4;
    third.update({.what = "x"});
    ASSERT_EQ(seen.states.size(), 3u);
    EXPECT_EQ(seen.states[0].what, "1/3 a: x");
    EXPECT_FALSE(seen.states[0].whole_seconds_left);
    EXPECT_EQ(seen.states[1].what, "2/3 b: x");
    EXPECT_DOUBLE_EQ(*seen.states[1].whole_seconds_left, 20);
    EXPECT_EQ(seen.states[2].what, "3/3 c: x");
    EXPECT_DOUBLE_EQ(*seen.states[2].whole_seconds_left, 11);
}

TEST(Parts, those_done_elsewhere_count_in_the_time_that_is_left) {
    Seen seen;
    double now = 100;
    const Parts parts(seen.observer(), 5, [&] { return now; });
    now += 30;
    parts.part("d", 3).update({.what = "x"});  // three took 30 s, by all ranks
    ASSERT_EQ(seen.states.size(), 1u);
    EXPECT_EQ(seen.states[0].what, "4/5 d: x");
    EXPECT_DOUBLE_EQ(*seen.states[0].whole_seconds_left, 20);
}

}  // namespace
}  // namespace fp
