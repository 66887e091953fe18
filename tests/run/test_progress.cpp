#include "engine/run/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace fp {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

ProgressState half() {
    return {.what = "epoch 3/30", .done = 500, .total = 1000, .loss = 0.52344, .seconds = 10, .waiting_seconds = 1};
}

TEST(Progress, a_line_says_it_all) {
    EXPECT_EQ(progress_line(half(), 79),
              "epoch 3/30   50%  [###....]  loss 0.5234  50.0 images/s  waiting 10%  0:10 left");
    ProgressState end = half();
    end.done = 1000;
    end.seconds = 3700;
    EXPECT_THAT(progress_line(end, 200), HasSubstr("100%"));
    EXPECT_THAT(progress_line(end, 200), HasSubstr("in 1:01:40"));
    EXPECT_THAT(progress_line(end, 200), HasSubstr("[####################]"));
}

TEST(Progress, a_line_fits_whatever_it_says) {
    ProgressState s = half();
    for (const size_t length : {0, 10, 60, 100}) {
        s.what = std::string(length, 'x');
        for (const double seconds : {0.0, 1e-9, 1.0, 1e12}) {
            s.seconds = seconds;
            for (const int64_t total : {int64_t(0), int64_t(500), int64_t(1) << 60}) {
                s.total = total;
                EXPECT_LE(progress_line(s, 79).size(), 79u);
            }
        }
    }
    s.loss = std::nullopt;
    EXPECT_THAT(progress_line(s, 79), Not(HasSubstr("loss")));
}

struct Watched {
    std::ostringstream screen;
    double now = 100;
    Progress start(bool terminal, bool colour, bool quiet = false) {
        return Progress({.stream = &screen, .terminal = terminal, .colour = colour, .quiet = quiet},
                        [this] { return now; });
    }
};

ProgressState at(int64_t done, std::optional<double> loss = 0.5, double waiting_seconds = 0) {
    return {.what = "epoch 1/1", .done = done, .total = 100, .loss = loss, .waiting_seconds = waiting_seconds};
};

TEST(Progress, a_pipe_gets_plain_lines_now_and_then_and_one_at_the_end) {
    Watched watched;
    {
        Progress progress = watched.start(false, false);
        for (int done = 1; done <= 70; ++done) {
            watched.now += 1;
            progress.update(at(done));
        }
    }
    const std::string out = watched.screen.str();
    EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 3) << out;
    EXPECT_THAT(out, Not(HasSubstr("\r")));
    EXPECT_THAT(out, Not(HasSubstr("\x1b")));
    EXPECT_THAT(out, HasSubstr(" 30%"));
    EXPECT_THAT(out, HasSubstr(" 70%"));
}

TEST(Progress, a_terminal_gets_one_line_that_is_written_over) {
    Watched watched;
    {
        Progress progress = watched.start(true, true);
        for (int done = 1; done <= 100; ++done) {
            watched.now += 0.02;
            progress.update(at(done));
        }
    }
    const std::string out = watched.screen.str();
    EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 1);
    const auto lines = std::count(out.begin(), out.end(), '\r');
    EXPECT_GT(lines, 10);
    EXPECT_LT(lines, 25);
    EXPECT_THAT(out, Not(HasSubstr("\x1b")));
    EXPECT_THAT(out, HasSubstr("100%"));
}

TEST(Progress, waiting_for_data_is_marked_where_colours_are_wanted) {
    for (const bool colour : {true, false}) {
        Watched watched;
        {
            Progress progress = watched.start(true, colour);
            watched.now += 10;
            progress.update(at(50, std::nullopt, 5));
        }
        EXPECT_EQ(watched.screen.str().find("\x1b") != std::string::npos, colour);
    }
}

TEST(Progress, lines_of_text_stand_between_progress_lines) {
    Watched watched;
    Progress progress = watched.start(false, false);
    progress.say("device cpu");
    watched.now += 2;
    progress.update(at(100));
    progress.warn("saved");
    const std::string out = watched.screen.str();
    EXPECT_EQ(out.find("device cpu\nepoch 1/1  100%"), 0u) << out;
    EXPECT_THAT(out, HasSubstr("50.0 images/s"));
    EXPECT_THAT(out, HasSubstr("in 0:02\nsaved\n"));
}

TEST(Progress, time_that_is_given_counts) {
    Watched watched;
    Progress progress = watched.start(false, false);
    ProgressState first = at(100);
    first.seconds = 4;  // though this is the first update
    progress.update(first);
    EXPECT_THAT(watched.screen.str(), HasSubstr("25.0 images/s"));
}

TEST(Progress, quiet_shows_warnings_alone) {
    Watched watched;
    Progress progress = watched.start(true, false, true);
    progress.say("x");
    progress.update(at(100));
    EXPECT_EQ(watched.screen.str(), "");
    progress.warn("y");
    EXPECT_EQ(watched.screen.str(), "y\n");
}

}  // namespace
}  // namespace fp
