// What a run tells its caller meanwhile. The library itself prints nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace fp {

struct PruneProgress {
    std::string what;             // "round 1: scoring"
    int64_t done = 0, total = 0;  // images
    std::optional<double> loss = {};
    double waiting_seconds = 0;  // for data, since the start of `what`
};

// Any may be empty.
struct PruneObserver {
    std::function<void(const std::string& line)> say = {};
    std::function<void(const std::string& line)> warn = {};  // what a quiet program says too
    std::function<void(const PruneProgress&)> progress = {};
    std::function<bool()> stop = {};  // true: save and end the run

    void tell(const std::string& line) const {
        if (say) say(line);
    }
    void caution(const std::string& line) const {
        if (warn) warn(line);
    }
    void update(const PruneProgress& p) const {
        if (progress) progress(p);
    }
    bool stopped() const { return stop && stop(); }
};

// The same observer, told everything with `label` in front.
PruneObserver labelled(const PruneObserver&, const std::string& label);

}  // namespace fp
