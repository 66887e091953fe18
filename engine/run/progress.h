// A progress line for long work: on a terminal one line that is overwritten, in a pipe a plain line from time to time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <ostream>
#include <string>

namespace fp {

double steady_seconds();  // of a clock that is never set

struct ProgressState {
    std::string what = {};        // "epoch 3/30"
    int64_t done = 0, total = 0;  // steps; total 0: nobody knows how many
    int64_t first = 0;            // steps that were done before `what` began: a resumed epoch's
    std::string unit = "images";  // of the steps, for a rate; empty: none is shown
    std::optional<double> loss = {}, accuracy = {};
    std::optional<double> whole_seconds_left = {};  // of all the work that this is a part of
    double waiting_seconds = -1;                    // spent waiting for data since the start of `what`; -1: unknown
    double seconds = 0;                             // since the start of `what`
    int64_t bytes = 0, device_bytes = 0;            // of memory in use; 0: unknown
    // Leaves no line behind: a terminal's is erased at the end, and a pipe gets one only while it takes long.
    bool brief = false;
};

// "epoch 3/30   45%  [######.......]  loss 0.5234  acc 0.8120  1234 images/s  waiting 3%  0:42 left  1.2 GB", at most
// `columns` wide. The bar fills the space that the words leave; where they leave none, memory goes first, then the
// accuracy, then the time spent waiting, then the end of `what`. There is no rate in the first half second, nor in the
// first 10 ms of work that is done by then.
std::string progress_line(const ProgressState& state, int columns);

struct ProgressOutput {
    std::ostream* stream;
    bool terminal;                                    // supports carriage returns
    bool colour;                                      // supports escape sequences, and NO_COLOR is not set
    bool quiet;                                       // only warnings are shown
    std::function<int()> columns = {};                // that a line may have; empty: 79
    std::function<void(ProgressState&)> memory = {};  // sets the memory in use; may be empty
};
// A terminal of its own width, or as COLUMNS has it, with the memory in use; a pipe of 79 columns.
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

    // Text is broken at blanks where it is longer than a line.
    void say(const std::string& text);   // unless quiet
    void warn(const std::string& text);  // always

    // A new `what` starts a new line, which a terminal shows immediately. After that the state is shown at most ten
    // times per second on a terminal and twice per minute in a pipe, and at its end. Time counts from the first state
    // of `what` if nothing is done in it, else from the end of the line before. Steps done before `what` was first
    // shown do not count in its rate. A state with done = 0 and total = 0 only starts the clock, unless it is brief.
    void update(ProgressState state);

private:
    void show();
    void end_line();
    void erase();
    int columns() const;

    ProgressOutput output_;
    Clock clock_;
    double start_ = 0, shown_at_ = 0;  // of `what`; of the last line that stays
    int64_t untimed_ = 0;              // steps of `what` that were done before `start_`
    bool shown_ = true;                // the latest state has been shown
    size_t open_ = 0;                  // columns of the line that is written over
    ProgressState state_;
};

}  // namespace fp
