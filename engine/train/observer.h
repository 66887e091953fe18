// What a run tells its caller meanwhile. The library itself prints nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace fp {

struct RunProgress {
    std::string what;             // "epoch 3/30", "round 1: scoring"
    int64_t done = 0, total = 0;  // images
    std::optional<double> loss = {};
    double waiting_seconds = 0;  // for data, since the start of `what`
};

// Any may be empty.
struct Observer {
    std::function<void(const std::string& line)> say = {};
    std::function<void(const std::string& line)> warn = {};  // what a quiet program says too
    std::function<void(const RunProgress&)> progress = {};
    std::function<bool()> stop = {};  // true: save and end the run, at any moment

    void tell(const std::string& line) const {
        if (say) say(line);
    }
    void caution(const std::string& line) const {
        if (warn) warn(line);
    }
    void update(const RunProgress& p) const {
        if (progress) progress(p);
    }
    bool stopped() const { return stop && stop(); }
};

// The same observer, told everything with `label` in front.
inline Observer labelled(const Observer& to, const std::string& label) {
    return {.say = [=](const std::string& line) { to.tell(label + line); },
            .warn = [=](const std::string& line) { to.caution(label + line); },
            .progress =
                [=](RunProgress p) {
                    p.what = label + p.what;
                    to.update(p);
                },
            .stop = to.stop};
}

}  // namespace fp
