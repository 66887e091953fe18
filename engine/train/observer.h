// What a run reports to its caller while it works. The library itself prints nothing.
#pragma once

#include <algorithm>

#include "engine/io/steps.h"
#include "engine/parallel/comm.h"
#include "engine/run/progress.h"
#include "engine/run/signals.h"

namespace fp {

// Any function may be empty.
struct Observer {
    std::function<void(const std::string& line)> say = {};
    std::function<void(const std::string& line)> warn = {};  // shown by a quiet program too
    std::function<void(const ProgressState&)> progress = {};
    std::function<bool()> stop = {};  // true: save and end the run; asked at any moment

    void tell(const std::string& line) const {
        if (say) say(line);
    }
    void caution(const std::string& line) const {
        if (warn) warn(line);
    }
    void update(const ProgressState& p) const {
        if (progress) progress(p);
    }
    bool stopped() const { return stop && stop(); }
    // Where the run is asked to stop, this ends it.
    void stop_if_asked() const {
        if (stopped()) throw Stopped{};
    }

    // Begins a stage whose partial result is discarded if it is stopped, which it can be at every step. `state` has its
    // name, and perhaps the unit of its steps.
    Steps steps(const ProgressState& state) const {
        stop_if_asked();
        update(state);
        return later(state);
    }
    // The same of a part that begins with its first step.
    Steps later(ProgressState state) const {
        return [to = *this, state](int64_t done, int64_t all) mutable {
            to.stop_if_asked();
            state.done = done;
            state.total = all;
            to.update(state);
        };
    }
    // The same of a part that leaves no line behind.
    Steps brief(const std::string& what, const std::string& unit = "images") const {
        return steps({.what = what, .unit = unit, .brief = true});
    }
};

// The same observer for work that ranks do in step: none may leave it alone, so it does not stop.
inline Observer in_step(Observer to, const Comm& ranks) {
    if (!ranks.alone()) to.stop = {};
    return to;
}

// The same observer with `label` in front of every line.
inline Observer labelled(const Observer& to, const std::string& label) {
    return {.say = [=](const std::string& line) { to.tell(label + line); },
            .warn = [=](const std::string& line) { to.caution(label + line); },
            .progress =
                [=](ProgressState p) {
                    p.what = label + p.what;
                    to.update(p);
                },
            .stop = to.stop};
}

// Parts of a whole, one after another, each with its number in front of its lines: "2/12 l1 10%: ". From the second on,
// progress has the time left of the whole, in which a part takes as long as those before took on average.
class Parts {
public:
    using Clock = std::function<double()>;  // seconds
    Parts(Observer to, int64_t all) : Parts(std::move(to), all, steady_seconds) {}
    Parts(Observer to, int64_t all, Clock clock)
        : to_(std::move(to)), all_(all), clock_(std::move(clock)), start_(clock_()) {}

    // The observer of the next part.
    Observer next(const std::string& name) { return part(name, begun_++); }
    // The observer of part `number`, from 0; those before it may be done elsewhere.
    Observer part(const std::string& name, int64_t number) const {
        const double now = clock_();
        Observer counted = to_;
        if (number > 0)
            counted.progress = [to = to_, clock = clock_,
                                end = now + (now - start_) / double(number) * double(all_ - number)](ProgressState p) {
                p.whole_seconds_left = std::max(0.0, end - clock());
                to.update(p);
            };
        return labelled(counted, std::to_string(number + 1) + "/" + std::to_string(all_) + " " + name + ": ");
    }

private:
    Observer to_;
    int64_t all_, begun_ = 0;
    Clock clock_;
    double start_;
};

}  // namespace fp
