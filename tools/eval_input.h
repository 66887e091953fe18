// What fp_eval judges: a model with its images or a file of predictions, opened, and predicted.
#pragma once

#include "engine/eval/judged.h"
#include "engine/fairness/threshold.h"
#include "engine/report/gallery.h"
#include "engine/run/checkpoint.h"
#include "engine/run/test_reads.h"
#include "tools/eval_options.h"

namespace fp {

// A model with its images, or a file of predictions: opened and checked, and nothing is predicted yet.
struct Opened {
    std::string file;
    Judged part = {};
    Predictions all = {};  // of a file
    std::vector<int64_t> samples = {};
    std::optional<LoadedModel> model = {};
    std::optional<ImageData> data = {};

    // The rows that are judged; of a model without what it will predict.
    Predictions rows() const;
};

// Predictions of one model, made now or read from a file.
struct EvalInput {
    Predictions judged;
    std::optional<Predictions> validation = {};    // to choose a threshold or offsets on
    std::map<std::string, Threshold> stored = {};  // the model's, by class
    std::string data = {}, split_hash = {};        // of the validation images
    std::optional<Skipped> skipped = {};
    Gallery gallery = {};
    Judged part = {};
    TestSplit test = {};            // without images where none of a test split is judged
    std::string model = {};         // its hash
    const Kernels* used = nullptr;  // that computed the predictions; null: read from a file
};

// Says on stderr what is judged, and refuses what cannot be, before any work.
Opened opened_file(const std::string& file, bool model, const EvalFlags&, const Options&);
// `ranks` predict together; null: this one alone.
EvalInput input_of(const Opened&, const EvalFlags&, const Options&, const Comm* ranks);

}  // namespace fp
