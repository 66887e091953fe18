// What a run reports to its caller while it works. The library itself prints nothing.
#pragma once

#include "engine/run/progress.h"

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
};

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

}  // namespace fp
