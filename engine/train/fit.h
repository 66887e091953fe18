// A training run: epochs over the training split, validation after each, the best kept, and a state from
// which the run goes on bit for bit after any interruption.
#pragma once

#include <nlohmann/json.hpp>

#include "engine/data/sampler.h"
#include "engine/eval/predict.h"
#include "engine/fairness/evaluate.h"
#include "engine/run/checkpoint.h"
#include "engine/train/trainer.h"

namespace fp {

struct FitOptions {
    int epochs = 30;
    int batch_size = 128;
    int workers = 0;
    bool skip_bad = false;
    uint64_t seed = 1;
    Sampling sampling = Sampling::shuffled;
    std::string sampling_attribute = {};  // for group and class-group
    ScheduleOptions schedule = {};
    TrainerOptions trainer = {};
    AugmentOptions augment = {};
    std::vector<std::string> attributes = {};  // metrics per group
    std::string select =
        "balanced_accuracy";    // best by this validation metric, or rms:ATTRIBUTE, GAP:ATTRIBUTE
    int64_t limit_batches = 0;  // of an epoch; 0: all
};

struct EpochResult {
    int epoch = 0;  // finished, from 1
    nlohmann::ordered_json metrics;
    double selected = 0;
    bool best = false;
};

// What the caller does meanwhile.
struct FitHooks {
    struct Progress {
        int epoch, epochs;
        int64_t batch, batches;
        double loss, lr, seconds, waiting_seconds;
        int64_t images;
    };
    std::function<void(const Progress&)> progress = {};
    std::function<void(const EpochResult&)> epoch = {};
    // Called where the run can be taken up again: after an epoch, every `save_every` batches, and when asked to stop.
    std::function<void(const nlohmann::ordered_json& place, bool best)> save = {};
    std::function<bool()> stop = {};  // asked after every step
    int64_t save_every = 0;           // batches; 0: after epochs alone
};

// Where a run is; goes into the checkpoint. A new run starts with none.
nlohmann::ordered_json start_of_run();

// True when all epochs are done, false when stopped. `place` is start_of_run() or what save was given.
bool fit(Trainer&,
         const Preprocessing&,
         const ImageData&,
         const FitOptions&,
         const nlohmann::ordered_json& place,
         const FitHooks&);

// 1 / count per class over the training split, scaled to mean 1 over samples.
std::vector<double> balanced_class_weights(const Dataset&);

// Per-epoch figures of predictions: loss, accuracy, balanced accuracy, macro-F1, AUC and each attribute's
// groups and gaps, without intervals.
nlohmann::ordered_json brief_metrics(const Predictions&,
                                     const std::vector<std::string>& attributes);

// The figure a run is selected by, oriented so that more is better; NaN where it cannot be estimated.
double selection_value(const Predictions&,
                       const std::string& select,
                       const std::vector<std::string>& attributes);

}  // namespace fp
