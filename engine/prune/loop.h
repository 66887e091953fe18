// The prune-and-tune loop, from a dense model to the best round, in a folder of its own and resumable at every stage:
//
//   score channels -> choose -> cut (or mask) -> recalibrate batch norm -> fine-tune -> judge on validation -> again
//
// It ends after PruneSettings::iterations rounds, once accuracy has fallen by more than max_drop, or after `patience`
// rounds without a better objective. It reads training and validation images only: the test split is for its caller.
#pragma once

#include "engine/prune/baseline.h"
#include "engine/train/fit.h"

namespace fp {

struct Objective {
    std::string by = {};
    double value = kNotEstimable;  // more is better
};
// The value of an rms is its negative square: "rms:sex 0.0985" for -0.0097, "rms:sex smaller than noise: 0" above 0.
std::string to_text(const Objective&);

// One round. Summaries are of the validation split.
struct Round {
    int number = 0;                                        // from 1
    std::map<std::string, double> attribute_weights = {};  // that scores were combined with
    Removal removed = {};
    int64_t channels = 0;                      // removed in this round
    int64_t parameters = 0;                    // of the network that is left
    double macs = 0;                           // multiply-adds of one image, of the network that is left
    Summary cut = {};                          // right after the cut
    std::optional<Summary> recalibrated = {};  // with new statistics of batch norm
    Summary val = {};                          // after fine-tuning
    Objective objective = {};
    bool within_max_drop = false, enough_accuracy = false;
};

struct PruneResult {
    LoadedModel best;
    std::vector<Round> rounds;
    // Number of the round that `best` is of; -1: none kept enough accuracy, and `best` is of the last one.
    int best_round = -1;

    const Round& kept() const { return rounds.at(best_round > 0 ? size_t(best_round - 1) : rounds.size() - 1); }
};

// The state of a run between two saves.
struct PruneState {
    int round = 0;                    // rounds finished
    std::optional<Round> begun = {};  // the round whose channels are removed and whose fine-tuning is not done
    FitPosition position = {};        // of that fine-tuning
    bool over = false;                // a stop rule has ended the run
    std::vector<Round> rounds = {};
    std::map<std::string, double> weights = {};  // of the attributes
    Removal masked = {};                         // over all rounds
    double best = -1e300;                        // objective of the best round
    int best_round = -1;                         // its number; -1: none
    int64_t step = 0;                            // of checkpoints: grows with every save
    int64_t rows = 0;                            // of metrics.jsonl
};

// How a run starts.
struct PruneStart {
    Caller caller = {};
    bool resume = false;      // go on with what the folder holds
    std::string scores = {};  // a scores file instead of scoring in the first round
    // A scores file to read in the first round if it exists, else to write.
    std::string shared_scores = {};
    std::function<void()> scored = {};  // called once that file is there; may be empty
    Observer observer = {};
};

// Nothing where the observer stopped the run, which is saved then. Every rank of the folder calls it, and has the result:
// they do the run together, with the bits of one, each scoring, predicting and choosing.
std::optional<PruneResult> prune(const Baseline&, const PruneSettings&, RunFolder&, const PruneStart& = {});

// The result of a run that has ended.
PruneResult pruned(const Baseline&, const PruneSettings&, const std::filesystem::path& folder, const Caller&);

// Only the first round's scores, written to scores.json in the folder. False where the observer stopped it.
bool score_only(const Baseline&, const PruneSettings&, RunFolder&, const PruneStart& = {});

// A whole run in a new folder. Exit::usage where the folder holds a run already.
PruneResult prune(const LoadedModel&, const ImageData&, const PruneSettings&, const std::filesystem::path& folder);

}  // namespace fp
