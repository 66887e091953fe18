// Runs one network step after step in the same memory.
#pragma once

#include "engine/folded.h"
#include "engine/network.h"

namespace fp {

class Session {
public:
    explicit Session(const Network& network)
        : network_(network), arena_(network.kernels().memory), folded_(network.params) {}

    // The next step's tape. It ends the step before: what that one's values pointed at is used again.
    Tape begin(const TapeOptions& options) {
        return Tape(network_.kernels(), arena_, scratch_, options, &folded_, &liveness_);
    }
    const Network& network() const { return network_; }
    const Arena& arena() const { return arena_; }
    size_t bytes() const { return arena_.capacity_bytes() + scratch_.bytes(); }

private:
    const Network& network_;
    Arena arena_;
    Buffer scratch_;
    FoldedWeights folded_;
    Liveness liveness_;
};

}  // namespace fp
