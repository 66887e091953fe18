// Options that several tools have, with one home for their names, defaults and limits.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/data/dataset.h"
#include "engine/run/device.h"
#include "tools/options.h"

namespace fp {

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

}  // namespace fp
