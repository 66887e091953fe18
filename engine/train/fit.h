// A training run: epochs over the training split with a validation after each. It can be interrupted after any
// update and goes on from a saved position with the same bits.
#pragma once

#include <functional>
#include <limits>
#include <optional>

#include "engine/data/sampler.h"
#include "engine/eval/predict.h"
#include "engine/fairness/evaluate.h"
#include "engine/train/trainer.h"

namespace fp {

struct FitOptions {
    int epochs = 30;
    int batch_size = 128;
    int workers = 0;
    bool skip_bad = false;
    uint64_t seed = 1;
    Sampling sampling = Sampling::shuffled;
    std::string sampling_attribute = {};  // for sampling by group
    ScheduleOptions schedule = {};
    TrainerOptions trainer = {};
    AugmentOptions augment = {};
    std::vector<std::string> attributes = {};  // metrics are reported per group of each
    std::string select = "balanced_accuracy";  // chooses the best epoch (engine/train/selection.h)
    int64_t limit_batches = 0;                 // per epoch; 0: no limit
};

// What one epoch of training came to. Of an epoch that was interrupted, the sums cover all of it, the times only
// the part since the run was resumed.
struct EpochResult {
    int epoch = 0;  // 1 for the first
    struct Train {
        double loss, accuracy;  // means over the samples seen
        int64_t samples;
        double lr;                      // of the last update
        std::optional<double> penalty;  // mean SNNL penalty; none without --snnl-weight
    } train = {};
    Summary val;                          // of the averaged weights where there is an average
    std::optional<Summary> val_raw = {};  // of the raw weights, where there is an average
    std::string select;                   // what `selected` is
    double selected = 0;                  // selection_value: more is better; NaN: not estimable
    bool best = false;                    // so far
    std::string weights;                  // weights_hash of the raw weights
    struct Seconds {
        double train, waiting, images_per_second, val;
    } seconds = {};
};

// Where a run is; a checkpoint holds it. A new run starts with the default.
struct FitPosition {
    int epoch = 0;                                           // epochs finished
    int64_t batch = 0;                                       // batches of the next epoch that are done
    Sums sums = {};                                          // over these batches
    double best = -std::numeric_limits<double>::infinity();  // EpochResult::selected of the best epoch
    int best_epoch = 0;                                      // 0: none yet
    Plateau plateau = {};
};

// What the caller does meanwhile; any may be empty.
struct FitHooks {
    struct Progress {
        int epoch, epochs;
        int64_t batch, batches;
        double loss, lr, seconds, waiting_seconds;
        int64_t images;
    };
    std::function<void(const Progress&)> progress = {};
    std::function<void(const EpochResult&)> epoch = {};
    // Called where the run can be resumed: after an epoch, every `save_every` batches, and when asked to stop.
    std::function<void(const FitPosition&, bool best)> save = {};
    std::function<bool()> stop = {};       // asked after every update and every epoch
    std::function<bool()> interrupt = {};  // asked after every batch of validation, which then starts anew
    int64_t save_every = 0;                // batches; 0: only after epochs
};

// Exit::usage for unknown names of schedules, metrics and attributes, Exit::data for an empty split: what fit() finds
// before the first epoch.
void check_fit(const ImageData&, const FitOptions&);

// True when all epochs are done, false when `stop` or `interrupt` ended the run.
bool fit(
    Trainer&, const Preprocessing&, const ImageData&, const FitOptions&, const FitPosition& start, const FitHooks&);

// 1 / count per class over the training split, scaled to mean 1 over samples.
std::vector<double> balanced_class_weights(const Dataset&);

}  // namespace fp
