#include "engine/train/recalibrate.h"

#include <algorithm>

#include "engine/data/device_input.h"
#include "kernels/error.h"

namespace fp {

int64_t recalibrate_norms(Network& network,
                          const Preprocessing& preprocessing,
                          const ImageData& data,
                          const std::vector<int64_t>& samples,
                          const PredictOptions& options) {
    const Kernels& k = network.kernels();
    Session session(network);
    Loader loader(data.source, data.labels(),
                  {.batch_size = options.batch_size,
                   .image_size = preprocessing.image_size,
                   .workers = options.workers,
                   .ready = data.ready,
                   .drop_last = true,
                   .skip_bad = options.skip_bad,
                   .memory = &k.memory});
    loader.start(samples, 0);
    Feed feed(k, preprocessing);
    int64_t batches = 0;
    Batch batch;
    while (loader.next(batch)) {
        const bool whole = std::all_of(batch.labels.begin(), batch.labels.end(),
                                       [](int32_t label) { return label >= 0; });
        if (!whole) continue;
        ++batches;
        // running = (1 - 1/n) running + 1/n batch: the mean of n batches
        Tape tape = session.begin(
            {.mode = Mode::train, .dropout = false, .norm_momentum = 1.0 / double(batches)});
        network.forward(tape, feed(tape, batch));
    }
    k.memory.synchronize({});
    network.params.touch();
    FP_REQUIRE(batches > 0, Exit::data, data.set.name, ": ", samples.size(),
               " training images are no whole batch of ", options.batch_size,
               " to average batch norm's statistics over");
    return batches;
}

}  // namespace fp
