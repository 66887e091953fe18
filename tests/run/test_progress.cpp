#include "engine/run/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "kernels/error.h"

namespace fp {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

ProgressState half() {
    return {.what = "epoch 3/30", .done = 500, .total = 1000, .loss = 0.52344, .waiting_seconds = 1, .seconds = 10};
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

TEST(Progress, a_rate_is_shown_once_there_was_time_for_one) {
    Watched watched;
    Progress progress = watched.start(false, false);
    watched.now += 1000;  // of other work
    progress.update(at(0, std::nullopt));
    watched.now += 0.001;  // of all its steps: too little
    progress.update(at(100));
    EXPECT_EQ(watched.screen.str(), "epoch 1/1  100%  [####################]  loss 0.5000  in 0:00\n");
    progress.update(at(0, std::nullopt));
    watched.now += 0.2;
    progress.update(at(100));
    EXPECT_THAT(watched.screen.str(), HasSubstr("500 images/s"));
    EXPECT_THAT(progress_line({.what = "epoch", .done = 50, .total = 100, .seconds = 0.2}, 79), Not(HasSubstr("/s")));
}

TEST(Progress, what_was_done_before_a_resume_counts_for_no_rate) {
    Watched watched;
    Progress progress = watched.start(false, false);
    watched.now += 1000;
    ProgressState resumed = at(80);
    resumed.first = 80;
    progress.update(resumed);
    watched.now += 2;
    resumed.done = 100;
    progress.update(resumed);
    EXPECT_THAT(watched.screen.str(), HasSubstr("10.0 images/s"));
}

TEST(Progress, a_brief_stage_leaves_no_line_behind) {
    const auto brief = [](int64_t done) {
        return ProgressState{.what = "validation", .done = done, .total = 100, .brief = true};
    };
    for (const bool terminal : {true, false}) {
        Watched watched;
        Progress progress = watched.start(terminal, false);
        progress.update(brief(0));
        EXPECT_EQ(watched.screen.str().find("\rvalidation    0%") == 0, terminal);
        watched.now += 1;
        progress.update(brief(100));
        progress.say("done");
        const std::string out = watched.screen.str();
        EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 1) << out;
        EXPECT_TRUE(out.ends_with(terminal ? " \rdone\n" : "done\n")) << out;
        if (!terminal) {
            EXPECT_EQ(out, "done\n");
        }
    }
}

TEST(Progress, a_pipe_is_told_of_many_brief_stages_from_time_to_time) {
    Watched watched;
    Progress progress = watched.start(false, false);
    for (int stage = 0; stage < 10; ++stage)
        for (int done = 0; done <= 2; ++done, watched.now += 3)
            progress.update({.what = text("part ", stage), .done = done, .total = 2, .brief = true});
    EXPECT_THAT(watched.screen.str(), HasSubstr("part 3   50%"));
    EXPECT_LE(std::ranges::count(watched.screen.str(), '\n'), 3);
}

TEST(Progress, nobody_needs_to_know_how_much_there_is) {
    Watched watched;
    Progress progress = watched.start(true, false);
    progress.update({.what = "decoding"});
    EXPECT_EQ(watched.screen.str(), "") << "perhaps nothing has to be decoded";
    watched.now += 5;
    progress.update({.what = "decoding", .done = 20});
    EXPECT_THAT(watched.screen.str(), HasSubstr("decoding  4.0 images/s  for 0:05"));
}

TEST(Progress, a_terminal_gets_its_width_and_the_memory) {
    for (const int columns : {60, 100, 140}) {
        Watched watched;
        Progress progress({.stream = &watched.screen,
                           .terminal = true,
                           .colour = false,
                           .quiet = false,
                           .columns = [=] { return columns; },
                           .memory = [](ProgressState& s) { s.bytes = 1'230'000'000; }},
                          [&] { return watched.now; });
        watched.now += 10;
        ProgressState state = at(50);
        state.accuracy = 0.75;
        progress.update(state);
        const std::string out = watched.screen.str();
        EXPECT_LE(out.size(), size_t(columns) + 1) << out;
        EXPECT_EQ(out.find("1.2 GB") != std::string::npos, columns > 60) << out;
        EXPECT_EQ(out.find("acc 0.7500") != std::string::npos, columns > 60) << out;
        EXPECT_THAT(out, HasSubstr("loss 0.5000  ")) << out;
        EXPECT_THAT(out, HasSubstr("0:10 left")) << out;
    }
}

TEST(Progress, a_long_name_gives_way_to_the_numbers) {
    ProgressState s = half();
    s.what = "2/12 snnl+as-released+given-class 10%, seed 3: round 1 epoch 1/2";
    s.whole_seconds_left = 3700;
    const std::string line = progress_line(s, 79);
    EXPECT_EQ(line.size(), 79u);
    EXPECT_EQ(line, "2/12 snnl+as-..   50%  loss 0.5234  50.0 images/s  0:10 left  all: 1:01:40 left");
}

TEST(Progress, long_text_is_broken_at_blanks) {
    Watched watched;
    Progress progress = watched.start(false, false);
    std::string words;
    for (int i = 0; i < 40; ++i) words += " word" + std::to_string(i);
    progress.say("x" + words);
    std::istringstream lines(watched.screen.str());
    std::string line, joined;
    while (std::getline(lines, line)) {
        EXPECT_LE(line.size(), 79u);
        joined += (joined.empty() ? "" : " ") + line.substr(line.find_first_not_of(' '));
    }
    EXPECT_EQ(joined, "x" + words);
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
