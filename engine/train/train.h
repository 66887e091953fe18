// A whole training run in a folder of its own: checkpoints, metrics, and a resume that changes no bit.
#pragma once

#include "engine/eval/predict.h"
#include "engine/run/run_folder.h"
#include "engine/train/fit.h"

namespace fp {

struct TrainRun {
    std::filesystem::path folder;
    IfRunIsThere if_run_is_there = IfRunIsThere::refuse;
    std::string weights = {};                        // a file to start from (read_weights); empty: random weights
    std::optional<std::string> weights_prefix = {};  // of that file's names (import_weights); empty: it is found
    int64_t save_every = 0;                          // batches; 0: after epochs only
    double max_minutes = 0;                          // save and end after this time; 0: never
    // Resume a run of another number of ranks too, where it stopped between two epochs. Its bits are then not those of
    // either number.
    bool any_ranks = false;
    Caller caller = {};
    Observer observer = {};
};

struct TrainResult {
    bool finished = true;        // false: stopped and saved
    std::filesystem::path best;  // the best model; the network itself holds the last one
    std::string document;        // JSON: {"out":FOLDER,"epochs":[row of metrics.jsonl...]}
};

// Every rank of FitOptions::trainer calls it; the first writes. Initializes the network with FitOptions::seed, or from TrainRun::weights, or resumes the run in the folder. With 0
// epochs the initial weights become the checkpoint.
TrainResult train(Network&, const Preprocessing&, const ImageData&, const FitOptions&, const TrainRun&);

}  // namespace fp
