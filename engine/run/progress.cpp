#include "engine/run/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <iostream>

namespace fp {
namespace {

constexpr int kColumns = 79;  // the last column of 80 stays free: some terminals break the line there
constexpr double kTerminalSeconds = 0.1, kPipeSeconds = 30;
constexpr double kMuchWaiting = 0.2;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

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

ProgressOutput progress_output(bool quiet) {
    const char* term = std::getenv("TERM");
    const char* no_color = std::getenv("NO_COLOR");
    const bool terminal = isatty(STDERR_FILENO) != 0;
    const bool dumb = !term || std::string_view(term) == "dumb";
    return {.stream = quiet ? nullptr : &std::cerr,
            .terminal = terminal && !dumb,
            .colour = terminal && !dumb && (!no_color || !*no_color)};
}

Progress::Progress(ProgressOutput output, std::string what, int64_t total)
    : Progress(output, std::move(what), total, now) {}

Progress::Progress(ProgressOutput output, std::string what, int64_t total, Clock clock)
    : output_(output), clock_(std::move(clock)), start_(clock_()), shown_at_(start_) {
    state_.what = std::move(what);
    state_.total = total;
}

Progress::~Progress() {
    if (!output_.stream || (state_.done == 0 && !line_open_)) return;
    if (!shown_) show();
    if (line_open_) *output_.stream << "\n";
    output_.stream->flush();
}

void Progress::update(int64_t done, std::optional<double> loss, double waiting_seconds) {
    const double at = clock_();
    state_.done = done;
    state_.loss = loss;
    state_.seconds = at - start_;
    state_.waiting_seconds = waiting_seconds;
    shown_ = false;
    if (!output_.stream) return;
    if (at - shown_at_ < (output_.terminal ? kTerminalSeconds : kPipeSeconds)) return;
    shown_at_ = at;
    show();
}

void Progress::show() {
    std::string line = progress_line(state_, kColumns);
    if (!output_.terminal) {
        *output_.stream << line << std::endl;
    } else {
        line.resize(kColumns, ' ');  // covers what stood there
        const bool warn = output_.colour && share_waiting(state_) > kMuchWaiting;
        *output_.stream << "\r" << (warn ? "\x1b[33m" : "") << line << (warn ? "\x1b[0m" : "") << std::flush;
        line_open_ = true;
    }
    shown_ = true;
}

}  // namespace fp
