// One run of score, cut, fine-tune, judge, from a dense model to the best round, in a folder of its own and
// resumable at every stage. Training and validation images only: the test split is its caller's to read.
#pragma once

#include "engine/run/checkpoint_folder.h"
#include "engine/run/run_folder.h"
#include "tools/load.h"
#include "tools/pruning.h"
#include "tools/training.h"

namespace fp {

// What all runs of one command share.
struct PruneContext {
    const Options& options;
    const Kernels& kernels;
    const LoadedModel& dense;
    const ImageData& data;
    const DataOptions& data_options;
    const TrainingSettings& tune;
    std::string dense_hash;
    nlohmann::ordered_json dense_val = {};  // brief_metrics of the dense model on validation

    std::vector<std::string> attributes() const;  // without weights
    Predictions predict_on(Split, const Network&) const;
    void say(const std::string& line) const;  // on stderr, unless --quiet
};

struct PruneJob {
    RunFolder& folder;
    PruningOptions pruning;
    uint64_t seed = 1;
    std::string scores = {};         // a file to start from
    std::string shared_scores = {};  // a file to start from if it is there, and to write if not
    std::string label = {};          // in front of what it says
    bool resume = false, verify = false, scores_only = false;
};

struct PruneOutcome {
    LoadedModel best;
    nlohmann::ordered_json rounds;
    int best_round = -1;  // -1: none kept enough accuracy, and the last one is kept
    double objective = 0;
    std::vector<nlohmann::ordered_json> metrics;
};

// What a round or a run must reach on validation to be chosen, since a model that knows nothing has no gap:
//   max(dense - max_drop, chance + (dense - chance) / 2),   chance = 1 / classes
// in balanced accuracy. Infinite, so that nothing is chosen, where the dense model itself is not above chance.
double least_accuracy(double dense_accuracy, int classes, double max_drop);

// What the best round is chosen by.
std::string objective_of(const PruningOptions&, const std::vector<std::string>& attributes);

// Nothing where it was stopped by a signal (saved), or only scores were asked for.
std::optional<PruneOutcome> prune(const PruneContext&, const PruneJob&);

}  // namespace fp
