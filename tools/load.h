// What every tool opens in the same way: the device, images, a model.
#pragma once

#include "engine/eval/predict.h"
#include "engine/run/checkpoint.h"
#include "tools/common.h"

namespace fp {

// The device of the flags; what `auto` chose is said on stderr, unless quiet.
const Kernels& use_device(const ComputeOptions&, const Options&);

// The images of the flags. `classes` of a checkpoint keep its order.
ImageData open_images(const DataOptions&,
                      int image_size,
                      const std::vector<std::string>& classes,
                      const std::string& cache = "");

// On stderr: how many images --skip-bad left out, and the first of them.
void say_skipped(const ImageData&, const Options&);

LoadedModel load_model(const std::string& path, const Kernels&);

}  // namespace fp
