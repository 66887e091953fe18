// Options that several tools have, with one home for their names, defaults and limits.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/data/dataset.h"
#include "kernels/kernels.h"
#include "tools/options.h"

namespace fp {

struct ComputeOptions {
    std::string device = "auto";
    Precision precision = Precision::f32;
    int threads = 0;  // 0: every core
};
void add_compute_options(Options& options, ComputeOptions& compute);

// What a data set is opened with, but for its classes.
void add_dataset_options(Options& options, DatasetOptions& dataset);

struct DataOptions {
    std::string data = {};
    std::vector<std::string> attributes = {};
    DatasetOptions dataset = {};
    std::optional<int> image_size = {};
    int batch_size = 32;
};
void add_data_options(Options& options, DataOptions& data);

struct Device {
    Backend backend;
    int index = 0;  // of the GPU
    Precision precision = Precision::f32;
};

// What --device and --precision ask for; a GPU that is named by number is selected. `auto` takes CUDA where it is
// built in and a GPU is here that it has code for, else the CPU, and says which and why on stderr, unless quiet.
// What is not there is an Error with Exit::device.
Device choose_device(const ComputeOptions& compute, const Options& options);

}  // namespace fp
