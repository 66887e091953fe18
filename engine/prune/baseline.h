// The dense model and the images that all runs of a search share.
#pragma once

#include "engine/eval/predict.h"
#include "engine/fairness/evaluate.h"
#include "engine/measure/stopwatch.h"
#include "engine/prune/settings.h"
#include "engine/run/checkpoint.h"
#include "engine/run/run_folder.h"
#include "engine/run/test_reads.h"
#include "engine/train/observer.h"

namespace fp {

class Baseline {
public:
    // Keeps references to the model and the data. The observer receives the progress of predictions and timings.
    Baseline(const LoadedModel&, const ImageData&, const PruneSettings&, const Observer& = {});

    const LoadedModel& model;
    const ImageData& data;
    const std::string hash;                     // weights_hash of the dense model
    const std::vector<std::string> attributes;  // names without weights
    const PredictOptions predict_options;
    const Observer observer;

    const Kernels& kernels() const { return model.network->kernels(); }
    int image_size() const { return model.card.preprocessing.image_size; }
    // The first attribute, whose gaps are compared; empty where there is none.
    std::string first_attribute() const { return attributes.empty() ? "" : attributes[0]; }

    // The dense model or a network cut from it, on one split. Without `progress` the observer sees it. By `ranks` together,
    // each of which calls it; null: by this process alone.
    Predictions predict_on(Split, const Network&, const Steps& progress = {}, const Comm* ranks = nullptr) const;
    // Records that the dense model and others, known by their weights_hash, are about to be judged on the test split by
    // a run in this folder. The observer is warned of a record that cannot be kept.
    TestReads record_test_read(std::vector<std::string> others,
                               const std::filesystem::path& folder,
                               const Caller&) const;
    // The dense model on validation; computed at the first call, as predict_on() is.
    const Summary& val(const Comm* ranks = nullptr) const;
    // The time of one inference over the dense model's, both measured in turns for so long and so many rounds at least.
    Ratio latency(Network&, double seconds, int min_rounds, const Steps& progress = {}) const;
    // As PruneSettings::max_drop and least_accuracy() have it.
    double least_accuracy(double max_drop) const;

private:
    mutable std::optional<Summary> val_;
};

// Exit::usage for names that this model does not know and for settings of scoring and fine-tuning that cannot be used,
// Exit::data for attributes that the data does not have. To be called before an existing run is overwritten.
void check(const PruneSettings&, const Baseline&);

// record_settings(), and the split where one was drawn. To be called once a resume is known to be of the same run.
void record_run(const RunFolder&, const Caller&, const Baseline&);

// What a run must share with the one that it resumes.
Identity identity_of(const Baseline&, const PruneSettings&, const Caller&);

}  // namespace fp
