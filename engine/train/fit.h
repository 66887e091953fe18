// A training run: epochs over the training split with a validation after each. It can be interrupted after any
// update and goes on from a saved position with the same bits.
//
// On N ranks (TrainerOptions::ranks) batch i of the epoch goes to rank i mod N, and N ranks have the bits, the losses
// and the validations that one rank with --accumulate N has. Sums are added in the order of the batches, so that every
// rank has the same result. All ranks call fit() with the same options and the same hooks.
#pragma once

#include "engine/fairness/evaluate.h"
#include "engine/train/observer.h"
#include "engine/train/settings.h"

namespace fp {

// The result of one epoch. Of an epoch that was interrupted, the sums cover all of it, the times only the part since
// the run was resumed.
struct EpochResult {
    int epoch = 0;  // 1 for the first
    struct Train {
        double loss = 0, accuracy = 0;  // means over the samples seen
        int64_t samples = 0;
        double lr = 0;                             // of the last update
        std::optional<double> penalty = {};        // mean SNNL penalty; none without --snnl-weight
        std::optional<double> weighted_loss = {};  // the loss with sample weights or GroupDRO's; none without them
        std::vector<double> q = {};                // GroupDRO's after the epoch, by group; none without it
        std::vector<std::string> q_groups = {};
        std::vector<std::vector<int64_t>> drawn = {};  // [class][group], as the sampler chose them
        std::vector<std::string> drawn_groups = {};    // of the first attribute, and "unknown"; without one, "all"
    } train = {};
    Summary val = {};                     // of the averaged weights where there is an average
    std::optional<Summary> val_raw = {};  // of the raw weights, where there is an average
    std::string select = {};              // what `selected` is
    double selected = 0;                  // selection_value: more is better; NaN: not estimable
    bool best = false;                    // so far
    std::string weights = {};             // weights_hash of the raw weights
    struct Seconds {
        double train = 0, waiting = 0, images_per_second = 0, val = 0;
    } seconds = {};
};

// Where a run is; a checkpoint holds it. A new run starts with the default.
struct FitPosition {
    int epoch = 0;                                           // epochs finished
    int64_t batch = 0;                                       // batches of the next epoch that are done, by all ranks
    int ranks = 1;                                           // in an epoch it goes on only with as many
    Sums sums = {};                                          // over these batches
    double best = -std::numeric_limits<double>::infinity();  // EpochResult::selected of the best epoch
    int best_epoch = 0;                                      // 0: none yet
    Plateau plateau = {};
};

// What the caller does during the run; any may be empty.
struct FitHooks {
    std::function<void(const ProgressState&)> progress = {};  // before an epoch, after every batch, in validation
    std::function<void()> batch = {};                         // after every batch (of each rank), before a save
    std::function<void(const EpochResult&)> epoch = {};
    // Called where the run can be resumed: after an epoch, every `save_every` batches, and when asked to stop; on rank
    // 0, while the others wait.
    std::function<void(const FitPosition&, bool best)> save = {};
    // Asked after every update and every epoch. Where it is true on one rank, all stop after the same step.
    std::function<bool()> stop = {};
    // Asked in all parts of validation, which then starts anew; not where there are several ranks.
    std::function<bool()> interrupt = {};
    int64_t save_every = 0;  // batches, at the end of the step that reaches them; 0: only after epochs
};

// The checks that fit() makes before the first epoch: Exit::usage for unknown names of metrics, attributes and layers,
// Exit::data for an empty split.
void check_fit(const Network&, int image_size, const ImageData&, const FitOptions&);

// True when all epochs are done, false when `stop` or `interrupt` ended the run.
bool fit(
    Trainer&, const Preprocessing&, const ImageData&, const FitOptions&, const FitPosition& start, const FitHooks&);

// One line for a person, within 80 columns.
std::string epoch_line(const EpochResult&, int epochs);

}  // namespace fp
