// The options of training, shared by fp_train and by fp_prune's fine-tuning.
#pragma once

#include "engine/train/fit.h"
#include "tools/attributes.h"
#include "tools/common.h"

namespace fp {

struct TrainingOptions {
    int epochs = 30;
    ScheduleOptions schedule;
    OptimizerOptions optimizer = {};
    Sampling sampler = Sampling::shuffled;
    std::string class_weights = "none", augment = "flips", select = "balanced_accuracy";
    double label_smoothing = 0, ema = 0;
    SnnlPenaltyOptions snnl = {};
    int accumulate = 1, workers = 0;
    bool skip_bad = false;
    int64_t limit_batches = 0;
    bool tensorboard = false;
};

// `prefix` stands before the names that fp_prune has another use for: "" or "finetune-".
void add_training_options(Options&, TrainingOptions&, const std::string& prefix);

FitOptions fit_options(const TrainingOptions&, const DataOptions&, uint64_t seed, const Dataset&);

nlohmann::ordered_json to_json(const TrainingOptions&);  // what a resumed run must share

// One line for a person, within 80 columns.
std::string epoch_line(const EpochResult&, int epochs);

}  // namespace fp
