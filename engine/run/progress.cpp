#include "engine/run/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>
#include <utility>

#include "engine/core/memory.h"

namespace fp {
namespace {

constexpr int kColumns = 79;  // the last column of 80 stays free: some terminals break the line there
constexpr double kTerminalSeconds = 0.1, kPipeSeconds = 30;
constexpr double kRateSeconds = 0.5, kWholeSeconds = 0.01;  // from which on a rate of a part, or of all, is shown
constexpr double kMuchWaiting = 0.2;

std::string duration(double seconds) {
    const int64_t s = std::llround(std::min(seconds, 1e9));
    if (s < 3600) return fmt::format("{}:{:02}", s / 60, s % 60);
    return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
}

double share_waiting(const ProgressState& s) {
    return s.seconds > 0 ? std::clamp(s.waiting_seconds / s.seconds, 0.0, 1.0) : 0;
}

// A part of a line; those of the highest number are left out first.
struct Part {
    std::string text;
    int dispensable;
};

std::vector<Part> parts_of(const ProgressState& s) {
    std::vector<Part> out;
    if (s.loss) out.push_back({fmt::format("loss {:.4f}", *s.loss), 0});
    if (s.accuracy) out.push_back({fmt::format("acc {:.4f}", *s.accuracy), 2});
    const double least = s.total > 0 && s.done >= s.total ? kWholeSeconds : kRateSeconds;
    const double rate = s.seconds >= least ? double(s.done - s.first) / s.seconds : 0;
    if (rate > 0 && !s.unit.empty()) out.push_back({fmt::format("{:.{}f} {}/s", rate, rate < 100 ? 1 : 0, s.unit), 0});
    if (rate > 0 && s.waiting_seconds >= 0) out.push_back({fmt::format("waiting {:.0f}%", 100 * share_waiting(s)), 1});
    if (s.total > 0 && s.done >= s.total)
        out.push_back({fmt::format("in {}", duration(s.seconds)), 0});
    else if (s.total > 0 && rate > 0)
        out.push_back({fmt::format("{} left", duration(double(s.total - s.done) / rate)), 0});
    else if (s.seconds >= 1)
        out.push_back({fmt::format("for {}", duration(s.seconds)), 0});
    if (s.whole_seconds_left) out.push_back({fmt::format("all: {} left", duration(*s.whole_seconds_left)), 0});
    if (s.bytes > 0)
        out.push_back(
            {fmt::format("{:.1f} GB", double(s.bytes) * 1e-9) +
                 (s.device_bytes > 0 ? fmt::format(" + {:.1f} GB device", double(s.device_bytes) * 1e-9) : ""),
             3});
    return out;
}

size_t length_of(const std::vector<Part>& parts) {
    size_t out = 0;
    for (const Part& p : parts) out += 2 + p.text.size();
    return out;
}

// Broken at blanks, the lines after the first indented.
std::string broken(const std::string& text, size_t columns) {
    if (text.size() <= columns) return text;
    std::string out, word;
    size_t column = 0;
    std::istringstream words(text);
    while (words >> word) {
        const bool starts = column == 0, fits = starts || column + 1 + word.size() <= columns;
        if (!starts) out += fits ? " " : "\n  ";
        column = starts ? word.size() : fits ? column + 1 + word.size() : 2 + word.size();
        out += word;
    }
    return out;
}

int terminal_columns() {
    winsize size{};
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return std::max(20, size.ws_col - 1);
    const char* words = std::getenv("COLUMNS");
    const int given = words ? std::atoi(words) : 0;
    return given > 0 ? std::max(20, given - 1) : kColumns;
}

// Resident pages of the process, and what it has allocated on a device of its own.
void memory_in_use(ProgressState& s) {
    std::ifstream in("/proc/self/statm");
    int64_t all = 0, resident = 0;
    if (in >> all >> resident) s.bytes = resident * sysconf(_SC_PAGESIZE);
    s.device_bytes = device_bytes_in_use();
}

}  // namespace

double steady_seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string progress_line(const ProgressState& s, int columns) {
    const double part = s.total > 0 ? std::clamp(double(s.done) / double(s.total), 0.0, 1.0) : 0;
    const std::string share = s.total > 0 ? fmt::format("  {:3.0f}%", std::floor(100 * part)) : "";
    std::vector<Part> parts = parts_of(s);
    const auto room_left = [&](const std::string& what) {
        return columns - int(what.size() + share.size() + length_of(parts));
    };
    for (int least = 3; least > 0; --least)
        if (room_left(s.what) < 0) std::erase_if(parts, [&](const Part& p) { return p.dispensable == least; });
    std::string line = s.what;
    if (const int over = -room_left(line); over > 0 && line.size() > size_t(over) + 10)
        line = line.substr(0, line.size() - size_t(over) - 2) + "..";
    const int room = room_left(line) - 4;  // two blanks, two brackets
    line += share;
    if (room >= 5 && s.total > 0) {
        const int width = std::min(room, 20), full = int(part * width);
        line += fmt::format("  [{}{}]", std::string(size_t(full), '#'), std::string(size_t(width - full), '.'));
    }
    for (const Part& p : parts) line += "  " + p.text;
    return line.substr(0, size_t(columns));
}

ProgressOutput stderr_output(bool quiet) {
    const char* term = std::getenv("TERM");
    const char* no_color = std::getenv("NO_COLOR");
    const bool terminal = isatty(STDERR_FILENO) != 0 && term && std::string_view(term) != "dumb";
    ProgressOutput out{
        .stream = &std::cerr, .terminal = terminal, .colour = terminal && (!no_color || !*no_color), .quiet = quiet};
    if (!terminal) return out;
    out.columns = terminal_columns;
    out.memory = memory_in_use;
    return out;
}

Progress::Progress(ProgressOutput output) : Progress(output, steady_seconds) {}

Progress::Progress(ProgressOutput output, Clock clock) : output_(std::move(output)), clock_(std::move(clock)) {
    end_line();
}

Progress::~Progress() { end_line(); }

int Progress::columns() const { return output_.columns ? output_.columns() : kColumns; }

void Progress::say(const std::string& text) {
    if (!output_.quiet) warn(text);
}

void Progress::warn(const std::string& text) {
    end_line();
    *output_.stream << broken(text, size_t(columns())) << std::endl;
}

void Progress::update(ProgressState state) {
    const bool begins = state.what != state_.what, in_place_of_another = begins && !state_.what.empty();
    if (in_place_of_another) end_line();
    const bool nothing_done = state.done == state.first && (state.total == 0 || state.done < state.total);
    const double now = clock_();
    if (begins && nothing_done) start_ = now;
    if (begins) untimed_ = in_place_of_another ? state.done : state.first;
    state.first = std::max(state.first, untimed_);
    state.seconds = now - start_;
    state_ = std::move(state);
    if (state_.total == 0 && state_.done == 0 && !state_.brief) return;  // perhaps there is nothing to do
    shown_ = false;
    if (state_.total > 0 && state_.done >= state_.total)
        end_line();
    else if (output_.terminal ? begins || now - shown_at_ >= kTerminalSeconds
                              : !begins && now - shown_at_ >= kPipeSeconds)
        show();
}

void Progress::show() {
    shown_ = true;
    shown_at_ = clock_();
    if (output_.quiet) return;
    if (output_.memory) output_.memory(state_);
    std::string line = progress_line(state_, columns());
    if (!output_.terminal) {
        *output_.stream << line << std::endl;
        return;
    }
    const size_t length = line.size();
    line.resize(std::max(length, open_), ' ');  // covers what stood there
    const bool warning = output_.colour && share_waiting(state_) > kMuchWaiting;
    *output_.stream << "\r" << (warning ? "\x1b[33m" : "") << line << (warning ? "\x1b[0m" : "") << std::flush;
    open_ = length;
}

void Progress::erase() {
    if (open_ > 0) *output_.stream << "\r" << std::string(open_, ' ') << "\r" << std::flush;
    open_ = 0;
}

void Progress::end_line() {
    if (state_.brief) {
        erase();
    } else {
        if (!shown_) show();
        if (std::exchange(open_, 0) > 0) *output_.stream << std::endl;
        shown_at_ = clock_();
    }
    shown_ = true;
    state_ = {};
    start_ = clock_();
}

}  // namespace fp
