// The results of fp_bench, and their text.
#pragma once

#include <string>
#include <vector>

#include "engine/measure/layer_times.h"
#include "engine/measure/profile_json.h"

namespace fp {

// One model at one batch size.
struct Measured {
    std::string checkpoint;
    int batch_size;
    std::vector<RunTimes> runs = {};  // of each call
    TimingSummary summary = {};
    Ratio against_first = {};  // how many times faster than the first model
    MemoryUse memory = {};
    CopyTimes copies = {};

    double median(double RunTimes::*) const;
};

struct BenchReport {
    struct Model {
        std::string checkpoint, arch;
        Totals totals;  // of one image
    };
    std::vector<Model> models;
    std::vector<Measured> measured;  // by batch size, then by model
    TimedLayers layers = {};
    const Kernels& kernels;
    int image_size, layers_batch_size;
    bool train = false, print_layers = false;
};

double flops_of(const LayerCost&);  // operations of what was timed

std::string to_text(const BenchReport&);

}  // namespace fp
