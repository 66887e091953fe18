// What the tools open: images, models, devices.
#pragma once

#include <memory>
#include <string>

#include "engine/data/images.h"
#include "engine/eval/predict.h"
#include "engine/run/checkpoint.h"
#include "tools/common.h"

namespace fp {

// Sets the number of threads that kernels use, and answers the device's kernels.
const Kernels& use_device(const ComputeOptions&, const Options&);

// A data set and where its images come from. `classes` of a checkpoint are taken in its order. Images are
// decoded once and kept: in memory, or in a cache file in `cache`.
ImageData open_images(const DataOptions&,
                      int image_size,
                      const std::vector<std::string>& classes,
                      const std::string& cache = "");

LoadedModel load_model(const std::string& path, const Kernels&);

}  // namespace fp
