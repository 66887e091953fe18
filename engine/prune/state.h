// The state of a pruning run between two saves.
#pragma once

#include "engine/prune/loop.h"

namespace fp {

struct PruneState {
    int round = 0;               // rounds finished
    std::optional<Round> begun;  // the round whose channels are out and whose fine-tuning is not done
    FitPosition position = {};   // of that fine-tuning
    bool over = false;           // a stop rule has ended the run
    std::vector<Round> rounds = {};
    std::map<std::string, double> weights = {};  // of the attributes
    Removal masked = {};                         // over all rounds
    double best = -1e300;                        // objective of the best round
    int best_round = -1;                         // its number; -1: none
    int64_t step = 0;                            // of checkpoints: grows with every save
};

}  // namespace fp
