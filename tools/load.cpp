#include "tools/load.h"

#include <iostream>

#include "engine/run/threads.h"
#include "models/models.h"

namespace fp {

const Kernels& use_device(const ComputeOptions& compute, const Options& options) {
    wait_briefly();
    return use_device(compute, [&](const std::string& line) {
        if (!options.quiet()) std::cerr << options.tool() << ": " << line << "\n";
    });
}

ImageData open_images(const DataOptions& options,
                      int image_size,
                      const std::vector<std::string>& classes,
                      const std::string& cache) {
    OpenOptions open{.image_size = image_size, .dataset = options.dataset, .cache = cache};
    open.dataset.classes = classes;
    return open_images(options.data, open);
}

void say_skipped(const ImageData& data, const Options& options) {
    if (const std::string line = skipped_text(data); !line.empty()) std::cerr << options.tool() << ": " << line << "\n";
}

LoadedModel load_model(const std::string& path, const Kernels& k) { return read_checkpoint(path, models::all(), k); }

}  // namespace fp
