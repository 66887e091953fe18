// A whole training run in a folder of its own: checkpoints, metrics, and a resume that changes no bit.
#pragma once

#include "engine/eval/predict.h"
#include "engine/run/identity.h"
#include "engine/run/run_folder.h"
#include "engine/train/settings.h"

namespace fp {

// What the caller does meanwhile; any may be empty. The library itself prints nothing.
struct TrainObserver {
    std::function<void(const std::string& line)> say = {};
    std::function<void(const std::string& line)> warn = {};  // what a quiet program says too
    std::function<void(const FitHooks::Progress&)> progress = {};
    std::function<void(const EpochResult&)> epoch = {};
    std::function<bool()> stop = {};  // true: save and end the run, at any moment
};

struct TrainRun {
    std::filesystem::path folder;
    IfRunIsThere if_run_is_there = IfRunIsThere::refuse;
    std::string weights = {};  // a file to start from (import_weights); empty: random weights
    bool tensorboard = false;  // write the metrics for TensorBoard too
    int64_t save_every = 0;    // batches; 0: after epochs only
    double max_minutes = 0;    // save and end after this time; 0: never
    std::string tool = "fairprune", command_line = {}, config = {};  // for the record in the folder
    // What decides the bits besides data, image size and device: resuming with another value is refused.
    std::vector<Setting> settings = {};
    TrainObserver observer = {};
};

struct TrainResult {
    bool finished = true;        // false: stopped and saved
    std::filesystem::path best;  // the best model; the network itself holds the last one
    std::string document;        // JSON: {"out":FOLDER,"epochs":[row of metrics.jsonl...]}
};

// Initializes the network with FitOptions::seed, or from TrainRun::weights, or resumes the run in the folder. With 0
// epochs the initial weights become the checkpoint.
TrainResult train(Network&, const Preprocessing&, const ImageData&, const FitOptions&, const TrainRun&);

}  // namespace fp
