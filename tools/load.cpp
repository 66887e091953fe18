#include "tools/load.h"

#include <omp.h>

#include "kernels/error.h"
#include "models/models.h"
#include "tools/threads.h"

namespace fp {

const Kernels& use_device(const ComputeOptions& compute, const Options& options) {
    wait_briefly();
    if (compute.threads > 0) omp_set_num_threads(compute.threads);
    const Device device = choose_device(compute, options);
    return kernels(device.backend, device.precision);
}

ImageData open_images(const DataOptions& options,
                      int image_size,
                      const std::vector<std::string>& classes,
                      const std::string& cache) {
    FP_REQUIRE(!options.data.empty(), Exit::usage, "--data is missing");
    DatasetOptions dataset = options.dataset;
    dataset.classes = classes;
    // The source outlives this function, and with it the data set that it reads from.
    const auto set = std::make_shared<const Dataset>(open_dataset(options.data, dataset));
    const auto images = std::make_shared<DatasetImages>(
        *set, ImageOptions{.image_size = image_size, .cache = cache});
    return {.set = *set,
            .source = [set, images](int64_t sample, const View& view, int side,
                                    uint8_t* rgb) { images->read(sample, view, side, rgb); },
            .ready = [set, images] { return images->all_cached(); }};
}

LoadedModel load_model(const std::string& path, const Kernels& k) {
    return read_checkpoint(path, models::all(), k);
}

}  // namespace fp
