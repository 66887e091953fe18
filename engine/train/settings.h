// What a training run is asked for, in the words of the command line.
#pragma once

#include "engine/train/fit.h"

namespace fp {

struct TrainingSettings {
    int epochs = 30;
    ScheduleOptions schedule = {};
    OptimizerOptions optimizer = {};
    OneOf<Sampling> sampler = Sampling::shuffled;
    std::string class_weights = "none", augment = "flips", select = "balanced_accuracy";
    double label_smoothing = 0, ema = 0;
    SnnlPenaltyOptions snnl = {};
    int accumulate = 1, workers = 0;
    bool skip_bad = false;
    int64_t limit_batches = 0;
    bool tensorboard = false;
};

// `attributes` are names, or with a weight "sex=2".
FitOptions fit_options(
    const TrainingSettings&, const std::vector<std::string>& attributes, int batch_size, uint64_t seed, const Dataset&);

// One line for a person, within 80 columns.
std::string epoch_line(const EpochResult&, int epochs);

}  // namespace fp
