// The prune-and-tune loop, from a dense model to the best round, in a folder of its own and resumable at every stage:
//
//   score channels -> choose -> cut (or mask) -> recalibrate batch norm -> fine-tune -> judge on validation -> again
//
// It ends after PruneSettings::iterations rounds, once accuracy has fallen by more than max_drop, or after `patience`
// rounds without a better objective. It reads training and validation images only: the test split is for its caller.
#pragma once

#include "engine/fairness/measure.h"
#include "engine/prune/baseline.h"
#include "engine/prune/observer.h"
#include "engine/run/identity.h"
#include "engine/run/run_folder.h"

namespace fp {

// One round. Summaries are of the validation split.
struct Round {
    int number = 0;                                   // from 1
    std::map<std::string, double> attribute_weights;  // that scores were combined with
    Removal removed;
    int64_t channels = 0;                 // removed in this round
    int64_t parameters = 0;               // of the network that is left
    double macs = 0;                      // multiply-adds of one image, of the network that is left
    Summary cut;                          // right after the cut
    std::optional<Summary> recalibrated;  // with new statistics of batch norm
    Summary val;                          // after fine-tuning
    struct Objective {
        std::string by;
        double value = kNotEstimable;  // more is better
    } objective;
    bool within_max_drop = false, enough_accuracy = false;
};

struct PruneResult {
    LoadedModel best;
    std::vector<Round> rounds;
    int best_round =
        -1;  // number of the round that `best` is of; -1: none kept enough accuracy, and it is the last

    const Round& kept() const;
};

// Who runs it, for the record.
struct Caller {
    std::string tool = "fairprune";
    std::string command_line = {};
    std::string config = {};  // every setting, as --config takes it
    // The settings that decide the bits of a run, by name: resuming with another value is refused. Empty: those of
    // PruneSettings.
    std::vector<Setting> settings = {};
};

// How a run starts.
struct PruneStart {
    Caller caller = {};
    bool resume = false;      // go on with what the folder holds
    std::string scores = {};  // a scores file instead of scoring in the first round
    std::string shared_scores =
        {};  // a scores file to read if it exists, else to write after the first scoring
};

// What a run must share with the one that it resumes.
Identity identity_of(const Baseline&, const PruneSettings&, const Caller&);

// Nothing where the observer stopped it; it is saved then.
std::optional<PruneResult> prune(const Baseline&,
                                 const PruneSettings&,
                                 RunFolder&,
                                 const PruneStart& = {},
                                 const PruneObserver& = {});

// Only the first round's scores, written to scores.json in the folder.
void score_only(const Baseline&,
                const PruneSettings&,
                RunFolder&,
                const PruneStart& = {},
                const PruneObserver& = {});

// The lowest balanced accuracy on validation at which a round or a run may be chosen, since a model that gives every
// image the same class has no gap:
//   max(dense - max_drop, chance + (dense - chance) / 2)      chance = 1 / classes
// Infinite, so that nothing is chosen, where the dense model itself is not above chance.
double least_accuracy(double dense_accuracy, int classes, double max_drop);

}  // namespace fp
