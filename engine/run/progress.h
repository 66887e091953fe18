// A progress line for long work: on a terminal one line that is overwritten, in a pipe a plain line from time to time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <ostream>
#include <string>

namespace fp {

struct ProgressState {
    std::string what = {};        // "epoch 3/30"
    int64_t done = 0, total = 0;  // images
    std::optional<double> loss = {};
    double seconds = 0, waiting_seconds = 0;  // since the start of `what`; the part spent waiting for data
};

// "epoch 3/30   45% [######        ] loss 0.5234  1234 images/s  waiting 3%  0:42 left", at most `columns`
// wide; the bar fills the space that the words leave.
std::string progress_line(const ProgressState& state, int columns);

struct ProgressOutput {
    std::ostream* stream;
    bool terminal;  // supports carriage returns
    bool colour;    // supports escape sequences, and NO_COLOR is not set
    bool quiet;     // only warnings are shown
};
ProgressOutput stderr_output(bool quiet);

// Lines of text and, between them, a progress line for each stage of the work.
class Progress {
public:
    using Clock = std::function<double()>;  // seconds
    explicit Progress(ProgressOutput output);
    Progress(ProgressOutput output, Clock clock);
    ~Progress();  // ends the progress line
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    void say(const std::string& line);   // unless quiet
    void warn(const std::string& line);  // always

    // Shows the state at most ten times per second on a terminal and twice per minute in a pipe, and at its end. A new
    // `what` starts a new line. Without `seconds`, time counts from the end of the line before.
    void update(ProgressState state);

private:
    void show();
    void end_line();

    ProgressOutput output_;
    Clock clock_;
    double start_ = 0, shown_at_ = 0;
    bool shown_ = true;  // the latest state has been shown
    bool line_open_ = false;
    ProgressState state_;
};

}  // namespace fp
