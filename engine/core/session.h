// Runs one network step after step in the same memory.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <vector>

#include "engine/core/inference_weights.h"
#include "engine/core/network.h"

namespace fp {

// What a step reads that is not the session's: how many images, and where they and their labels lie.
struct StepInputs {
    int n = 0;
    std::array<const void*, 2> at{};
    bool operator==(const StepInputs&) const = default;
};

class Session {
public:
    explicit Session(const Network&);
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    // The next step's tape. It ends the step before, whose memory is used again.
    Tape begin(const TapeOptions& options) {
        return Tape(network_.kernels(), arena_, scratch_, options, &folded_, &liveness_);
    }

    // A part of a step. `work` of the device may be captured as a graph instead of being run again: it must
    // give the device the same calls each time, which dropout, whose key changes, does not.
    struct Part {
        enum Where { device, host } where;
        std::function<void()> work;
    };
    // Runs the parts in order. Where the backend has graphs, the parts of the device are captured at the third
    // run in a row with the same memory and inputs, and replayed from then on. A capture that fails runs the
    // step call by call, as every later one, and says so on stderr; a replay that fails throws. Steps that give
    // other calls, or use other memory of their own, have another `key`. `weights_are_inputs` says that the
    // calls read the weights themselves, not what was derived from them.
    void repeat(uint64_t key,
                bool weights_are_inputs,
                const std::vector<Part>& parts,
                const StepInputs& inputs = {});
    uint64_t new_key() { return ++keys_; }
    // The graphs of this key may name memory that is about to be released.
    void forget(uint64_t key);
    // The step of this key is never captured.
    void forbid(uint64_t key) { repeats_[key].forbidden = true; }
    int64_t replays() const { return replays_; }  // steps that were replayed

    const Network& network() const { return network_; }
    const Arena& arena() const { return arena_; }
    size_t bytes() const { return arena_.capacity_bytes() + scratch_.bytes(); }

private:
    // Where everything lies that a captured step has by address.
    struct Place {
        int64_t arena = -1;
        const void* scratch = nullptr;
        int64_t weights = 0;
        StepInputs inputs;
        bool operator==(const Place&) const = default;
    };
    struct Repeat {
        Place place;
        int runs = 0;  // since the place last changed
        std::vector<void*> graphs;
        bool forbidden = false;
    };
    Place place(bool weights_are_inputs, const StepInputs& inputs) const {
        return {arena_.generation(), scratch_.data(),
                weights_are_inputs ? 0 : network_.params.version(), inputs};
    }
    std::vector<void*> capture(const std::vector<Part>&);
    void drop(std::vector<void*>& graphs) noexcept;
    void use_no_graphs() noexcept;

    const Network& network_;
    const Graph* graph_;  // null: there are no graphs, or none any more
    Arena arena_;
    Buffer scratch_;
    FoldedWeights folded_;
    Liveness liveness_;
    std::map<uint64_t, Repeat> repeats_;
    uint64_t keys_ = 0;
    int64_t replays_ = 0;
};

}  // namespace fp
