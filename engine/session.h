// Runs one network step after step in the same memory.
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "engine/folded.h"
#include "engine/network.h"

namespace fp {

class Session {
public:
    explicit Session(const Network& network)
        : network_(network), arena_(network.kernels().memory), folded_(network.params) {}
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    // The next step's tape. It ends the step before: what that one's values pointed at is used again.
    Tape begin(const TapeOptions& options) {
        return Tape(network_.kernels(), arena_, scratch_, options, &folded_, &liveness_);
    }

    // A stretch of a step. `work` of the device may be noted as a graph instead of being run again: it must
    // give the device the same calls each time, which dropout, whose key changes, does not.
    struct Part {
        enum Where { device, host } where;
        std::function<void()> work;
    };
    // Runs the parts in order. Where the backend has graphs, what is on the device is noted at the third
    // time in a row that memory has stayed where it was, and launched whole from then on. Steps that give
    // other calls, or other memory of their own, have another `key`; `weights_are_inputs` says that the noted calls read the weights
    // themselves, not what was derived from them.
    void repeat(uint64_t key, bool weights_are_inputs, const std::vector<Part>& parts);
    uint64_t new_key() { return ++keys_; }
    // What was noted under this key may name memory that is going.
    void forget(uint64_t key);
    // The step of this key is never noted.
    void forbid(uint64_t key) { repeats_[key].forbidden = true; }
    int64_t replays() const { return replays_; }  // steps that were launched whole

    const Network& network() const { return network_; }
    const Arena& arena() const { return arena_; }
    size_t bytes() const { return arena_.capacity_bytes() + scratch_.bytes(); }

private:
    // Where everything lies that a noted step has by address.
    struct Place {
        int64_t arena = -1;
        const void* scratch = nullptr;
        int64_t weights = 0;
        bool operator==(const Place&) const = default;
    };
    struct Repeat {
        Place place;
        int runs = 0;  // since the place last changed
        std::vector<void*> graphs;
        bool forbidden = false;
    };
    Place place(bool weights_are_inputs) const {
        return {arena_.generation(), scratch_.data(),
                weights_are_inputs ? 0 : network_.params.version()};
    }
    void drop(Repeat&);

    const Network& network_;
    Arena arena_;
    Buffer scratch_;
    FoldedWeights folded_;
    Liveness liveness_;
    std::map<uint64_t, Repeat> repeats_;
    uint64_t keys_ = 0;
    int64_t replays_ = 0;
};

}  // namespace fp
