#include "engine/train/recalibrate.h"

#include <algorithm>

#include "engine/parallel/agree.h"
#include "kernels/error.h"

namespace fp {

int64_t recalibrate_norms(Network& network,
                          const Preprocessing& preprocessing,
                          const ImageData& data,
                          const std::vector<int64_t>& samples,
                          const PredictOptions& options) {
    Session session(network);
    int64_t batches = 0;
    const auto average = [&](const Batch& batch, DeviceInput& input) {
        if (std::ranges::min(batch.labels) < 0) return;  // an image was skipped
        ++batches;
        // running = (1 - 1/n) running + 1/n batch: the mean of n batches
        Tape tape = session.begin({.mode = Mode::train, .dropout = false, .norm_momentum = 1.0 / double(batches)});
        network.forward(tape, input(tape, batch));
    };
    PredictOptions all_batches = options;
    all_batches.ranks = nullptr;
    agree(options.comm(), [&] {
        for_each_batch({session, preprocessing, data, samples, all_batches}, LastBatch::dropped, average);
        network.kernels().memory.synchronize({});
    });
    network.params.touch();
    FP_REQUIRE(batches > 0, Exit::data, data.set.name, ": ", samples.size(),
               " training images do not fill one batch of ", options.batch_size, " for batch norm's statistics");
    return batches;
}

}  // namespace fp
