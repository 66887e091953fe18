#include "engine/run/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <utility>

namespace fp {
namespace {

constexpr int kColumns = 79;  // the last column of 80 stays free: some terminals break the line there
constexpr double kTerminalSeconds = 0.1, kPipeSeconds = 30;
constexpr double kMuchWaiting = 0.2;

double steady_seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string duration(double seconds) {
    const int64_t s = std::llround(std::min(seconds, 1e9));
    if (s < 3600) return fmt::format("{}:{:02}", s / 60, s % 60);
    return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
}

double share_waiting(const ProgressState& s) {
    return s.seconds > 0 ? std::clamp(s.waiting_seconds / s.seconds, 0.0, 1.0) : 0;
}

std::string numbers(const ProgressState& s) {
    std::string out;
    if (s.loss) out += fmt::format("loss {:.4f}  ", *s.loss);
    if (s.done == 0 || s.seconds <= 0) return out;
    const double rate = double(s.done) / s.seconds;
    out += fmt::format("{:.{}f} images/s  waiting {:.0f}%", rate, rate < 100 ? 1 : 0, 100 * share_waiting(s));
    if (s.done < s.total)
        out += fmt::format("  {} left", duration(double(s.total - s.done) / rate));
    else
        out += fmt::format("  in {}", duration(s.seconds));
    return out;
}

}  // namespace

std::string progress_line(const ProgressState& s, int columns) {
    const double part = s.total > 0 ? std::clamp(double(s.done) / double(s.total), 0.0, 1.0) : 0;
    const std::string left = fmt::format("{}  {:3.0f}%", s.what, std::floor(100 * part)), right = numbers(s);
    const int room = columns - int(left.size() + right.size()) - 6;  // two blanks a side, two brackets
    std::string line = left;
    if (room >= 5) {
        const int width = std::min(room, 20), full = int(part * width);
        line += fmt::format("  [{}{}]", std::string(size_t(full), '#'), std::string(size_t(width - full), '.'));
    }
    if (!right.empty()) line += "  " + right;
    return line.substr(0, size_t(columns));
}

ProgressOutput stderr_output(bool quiet) {
    const char* term = std::getenv("TERM");
    const char* no_color = std::getenv("NO_COLOR");
    const bool terminal = isatty(STDERR_FILENO) != 0 && term && std::string_view(term) != "dumb";
    return {
        .stream = &std::cerr, .terminal = terminal, .colour = terminal && (!no_color || !*no_color), .quiet = quiet};
}

Progress::Progress(ProgressOutput output) : Progress(output, steady_seconds) {}

Progress::Progress(ProgressOutput output, Clock clock) : output_(output), clock_(std::move(clock)) { end_line(); }

Progress::~Progress() { end_line(); }

void Progress::say(const std::string& line) {
    if (!output_.quiet) warn(line);
}

void Progress::warn(const std::string& line) {
    end_line();
    *output_.stream << line << std::endl;
}

void Progress::update(ProgressState state) {
    if (!state_.what.empty() && state.what != state_.what) end_line();
    state_ = std::move(state);
    const double at = clock_();
    if (state_.seconds == 0) state_.seconds = at - start_;
    shown_ = false;
    if (state_.done == state_.total)
        end_line();
    else if (at - shown_at_ >= (output_.terminal ? kTerminalSeconds : kPipeSeconds))
        show();
}

void Progress::show() {
    shown_ = true;
    shown_at_ = clock_();
    if (output_.quiet) return;
    std::string line = progress_line(state_, kColumns);
    if (!output_.terminal) {
        *output_.stream << line << std::endl;
        return;
    }
    line.resize(kColumns, ' ');  // covers what stood there
    const bool warning = output_.colour && share_waiting(state_) > kMuchWaiting;
    *output_.stream << "\r" << (warning ? "\x1b[33m" : "") << line << (warning ? "\x1b[0m" : "") << std::flush;
    line_open_ = true;
}

void Progress::end_line() {
    if (!shown_) show();
    if (std::exchange(line_open_, false)) *output_.stream << std::endl;
    state_ = {};
    start_ = shown_at_ = clock_();
}

}  // namespace fp
