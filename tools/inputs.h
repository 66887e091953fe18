// The options that several tools share, with their names, defaults and limits, and what they open: a device, a data
// set, a model.
#pragma once

#include "engine/eval/predict.h"
#include "engine/io/steps.h"
#include "engine/run/checkpoint.h"
#include "engine/run/device.h"
#include "tools/options.h"

namespace fp {

void add_compute_options(Options&, ComputeOptions&);

// --data, with the topic of --help that lists the sources.
void add_data_option(Options&, std::string& spec);

// How a data set is opened: its split, and which images are left out.
void add_dataset_options(Options&, DatasetOptions&);
void add_leak_option(Options&, DatasetOptions&);  // --allow-leak

struct DataOptions {
    std::string data = {};
    std::vector<std::string> attributes = {};
    DatasetOptions dataset = {};
    std::optional<int> image_size = {};
    int batch_size = 32;
};
void add_data_options(Options&, DataOptions&);
// --skip-bad, which errors of unreadable images then name.
void add_skip_bad(Options&, bool& skip_bad);

// Selects the device, and says which one `auto` chose.
const Kernels& use_device(const ComputeOptions&, const Options&);

// Exit::data where an image file of these splits is missing, so that a run fails at its start and not after hours.
// Images that are cached need no file.
void require_images(const ImageData&, std::initializer_list<Split>);

// Prints on stderr, even if quiet, how many images --skip-bad left out and what is wrong with the first.
void say_skipped(const ImageData&, const Options&);

// Says on stderr how the data set was split and what was left out of it.
void say_notes(const Dataset&, const Options&);

// Before the work: refuses an attribute that cannot be read, and warns on stderr, even if quiet, of one that has fewer
// than two groups.
void check_attributes(const AttributeColumns&, const std::vector<std::string>& attributes, const Options&);

LoadedModel load_model(const std::string& path, const Kernels&);

// Opens the images at the size that the model of `path` was trained at, with the model's classes in their order, split
// as they were for the model. Exit::model where --image-size differs. `progress`: while the cache is written.
ImageData open_images_of(const LoadedModel&,
                         const std::string& path,
                         const DataOptions&,
                         const std::string& cache = "",
                         const Steps& progress = {});

}  // namespace fp
