// Runs one network step after step in the same memory.
#pragma once

#include "engine/core/inference_weights.h"
#include "engine/core/network.h"

namespace fp {

class Session {
public:
    explicit Session(const Network& network)
        : network_(network), arena_(network.kernels().memory), weights_(network.params) {}
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    // The next step's tape. It ends the step before, whose memory is used again.
    Tape begin(const TapeOptions& options) {
        return Tape(network_.kernels(), arena_, scratch_, options,
                    {.inference_weights = &weights_, .liveness = &liveness_, .random = &random_});
    }

    const Network& network() const { return network_; }
    size_t bytes() const { return arena_.capacity_bytes() + scratch_.bytes(); }
    int64_t replays() const { return replays_; }  // steps that were replayed from a StepGraph

private:
    friend class StepGraph;

    const Network& network_;
    Arena arena_;
    Buffer scratch_;
    InferenceWeights weights_;
    Liveness liveness_;
    bool random_ = false;   // set by a step that draws random numbers
    bool captures_ = true;  // false once a capture or a replay has failed
    int64_t replays_ = 0;
};

}  // namespace fp
