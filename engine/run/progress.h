// How far long work is: on a terminal one line that is written over, in a pipe now and then a plain line.
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
    double seconds = 0, waiting_seconds = 0;  // since the start; of these, waiting for data
};

// "epoch 3/30   45% [######        ] loss 0.5234  1234 images/s  waiting 3%  0:42 left", at most `columns`
// wide; the bar takes what the words leave.
std::string progress_line(const ProgressState& state, int columns);

struct ProgressOutput {
    std::ostream* stream;  // null: nothing is shown
    bool terminal;         // carriage returns are understood
    bool colour;           // so are escape sequences, and NO_COLOR is not set
};
// stderr as it is now; nothing if quiet.
ProgressOutput progress_output(bool quiet);

class Progress {
public:
    using Clock = std::function<double()>;  // seconds
    Progress(ProgressOutput output, std::string what, int64_t total);
    Progress(ProgressOutput output, std::string what, int64_t total, Clock clock);
    ~Progress();  // ends the line
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    // Shows the state, if it is time to: ten times a second on a terminal, twice a minute in a pipe.
    void update(int64_t done, std::optional<double> loss, double waiting_seconds);

private:
    void show();

    ProgressOutput output_;
    Clock clock_;
    double start_, shown_at_;
    bool shown_ = false;  // the last state is on the screen
    bool line_open_ = false;
    ProgressState state_;
};

}  // namespace fp
