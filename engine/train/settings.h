// The settings of a training run as the command line has them, and the options that they give on a data set.
#pragma once

#include <optional>

#include "engine/data/placebo.h"
#include "engine/data/sampler.h"
#include "engine/eval/predict.h"
#include "engine/train/trainer.h"

namespace fp {

struct TrainingSettings {
    int epochs = 30;
    ScheduleOptions schedule = {};
    OptimizerOptions optimizer = {};
    OneOf<Sampling> sampler = Sampling::shuffled;  // by group: of the first attribute
    std::string class_weights = "none", augment = "flips";
    std::string select = "balanced_accuracy";  // chooses the best epoch (engine/train/selection.h)
    double label_smoothing = 0, ema = 0;
    SnnlPenaltyOptions snnl = {};
    // By group, of the first attribute; at most one of both, and neither beside class weights.
    OneOf<SampleWeighting> sample_weights = SampleWeighting::none;
    GroupDroOptions group_dro = {};
    // Seed of the groups that samplers, weights and the penalty see (engine/data/placebo.h); empty: the true ones.
    std::optional<uint64_t> placebo = {};
    int accumulate = 1, workers = 0;
    bool sync_norms = false;  // of several ranks: batch norms over the batches of all
    bool skip_bad = false;
    int64_t limit_batches = 0;         // per epoch; 0: no limit
    std::string limit_train = "100%";  // or "500" of the training images
    // Train on so many batches of them alone, and validate on the same images; 0: off. A working set-up reaches zero
    // training loss.
    int64_t overfit_batches = 0;
    bool tensorboard = false;  // write the metrics for TensorBoard too
};

// What in training reads groups: "sampler", "sample weights", "GroupDRO", "penalty".
std::vector<std::string> group_readers(const TrainingSettings&);
// What a training with a placebo says of itself; none where it has none, or where nothing in it reads groups.
std::optional<PlaceboNote> placebo_note(const TrainingSettings&);

struct FitOptions {
    TrainingSettings settings = {};
    int batch_size = 128;
    uint64_t seed = 1;
    std::vector<std::string> attributes = {};  // names: metrics are reported per group of each
    TrainerOptions trainer = {};
    AugmentOptions augment = {};
};

// The attributes of positive weight with the groups of all samples, by specification, or a placebo's (engine/data/placebo.h).
// Exit::data for one that cannot be compared.
std::vector<PenaltyAttribute> penalty_attributes(const Dataset&,
                                                 const std::map<std::string, double>& weights,
                                                 const std::optional<uint64_t>& placebo);

// `attributes` are names, or with a weight "sex=2". Exit::usage for settings that exclude each other, or that need an
// attribute.
FitOptions fit_options(
    const TrainingSettings&, const std::vector<std::string>& attributes, int batch_size, uint64_t seed, const Dataset&);

}  // namespace fp
