#include "engine/prune/observer.h"

namespace fp {

PruneObserver labelled(const PruneObserver& to, const std::string& label) {
    return {.say = [to, label](const std::string& line) { to.tell(label + line); },
            .warn = [to, label](const std::string& line) { to.caution(label + line); },
            .progress =
                [to, label](PruneProgress p) {
                    p.what = label + p.what;
                    to.update(p);
                },
            .stop = to.stop};
}

}  // namespace fp
