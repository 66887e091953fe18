// What several tools take and open in the same way: a device, a data set, a model. Each option has its name, default
// and limits here.
#pragma once

#include "engine/eval/predict.h"
#include "engine/run/checkpoint.h"
#include "engine/run/device.h"
#include "tools/options.h"

namespace fp {

void add_compute_options(Options&, ComputeOptions&);

// What a data set is opened with, except for its classes.
void add_dataset_options(Options&, DatasetOptions&);

struct DataOptions {
    std::string data = {};
    std::vector<std::string> attributes = {};
    DatasetOptions dataset = {};
    std::optional<int> image_size = {};
    int batch_size = 32;
};
void add_data_options(Options&, DataOptions&);

// The device of the flags. Unless quiet, what `auto` chose is told on stderr.
const Kernels& use_device(const ComputeOptions&, const Options&);

// Exit::data where a file of these splits is missing: it is found before the work and not after hours. Images that are
// cached need no file.
void require_images(const ImageData&, std::initializer_list<Split>);

// On stderr: how many images --skip-bad left out, and the first of them.
void say_skipped(const ImageData&, const Options&);

LoadedModel load_model(const std::string& path, const Kernels&);

// The images of the flags in the size that the model of `path` was trained at, with its classes in their order.
// Exit::model where --image-size is another one.
ImageData open_images_of(const LoadedModel&,
                         const std::string& path,
                         const DataOptions&,
                         const std::string& cache = "");

}  // namespace fp
