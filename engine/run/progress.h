// A progress line for long work: on a terminal one line that is overwritten, in a pipe a plain line from time to time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <ostream>
#include <string>

namespace fp {

struct ProgressState {
    std::string what;             // "epoch 3/30"
    int64_t done = 0, total = 0;  // images
    std::optional<double> loss = {};
    double seconds = 0, waiting_seconds = 0;  // since the start; the part spent waiting for data
};

// "epoch 3/30   45% [######        ] loss 0.5234  1234 images/s  waiting 3%  0:42 left", at most `columns`
// wide; the bar fills the space that the words leave.
std::string progress_line(const ProgressState& state, int columns);

struct ProgressOutput {
    std::ostream* stream;  // null: nothing is shown
    bool terminal;         // supports carriage returns
    bool colour;           // supports escape sequences, and NO_COLOR is not set
};
// stderr; a null stream if quiet.
ProgressOutput progress_output(bool quiet);

class Progress {
public:
    using Clock = std::function<double()>;  // seconds
    Progress(ProgressOutput output, std::string what, int64_t total);
    Progress(ProgressOutput output, std::string what, int64_t total, Clock clock);
    ~Progress();  // ends the line
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    // Shows the state at most ten times per second on a terminal and twice per minute in a pipe.
    void update(int64_t done, std::optional<double> loss, double waiting_seconds);

private:
    void show();

    ProgressOutput output_;
    Clock clock_;
    double start_, shown_at_;
    bool shown_ = false;  // the latest state has been shown
    bool line_open_ = false;
    ProgressState state_;
};

}  // namespace fp
