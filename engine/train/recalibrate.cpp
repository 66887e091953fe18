#include "engine/train/recalibrate.h"

#include <algorithm>

#include "engine/parallel/agree.h"
#include "engine/parallel/gather.h"
#include "kernels/error.h"

namespace fp {

int64_t recalibrate_norms(Network& network,
                          const Preprocessing& preprocessing,
                          const ImageData& data,
                          const std::vector<int64_t>& samples,
                          const PredictOptions& options) {
    const Kernels& k = network.kernels();
    const int64_t count = network.params.statistics_count();
    const size_t bytes = size_t(count) * size_t(bytes_of(k.parameter));
    Buffer of_batch;
    of_batch.grow(k.memory, std::max<size_t>(bytes, 1));
    k.memory.zero(of_batch.data(), bytes, {});

    Session session(network);
    double seen = 0;
    std::vector<char> mine;  // of each batch, one behind another
    for_each_batch(
        {session, preprocessing, data, samples, options}, LastBatch::dropped,
        [&](const Batch& batch, DeviceInput& input) {
            if (std::ranges::min(batch.labels) < 0) return;  // an image was skipped
            Tape tape = session.begin({.mode = Mode::train, .dropout = false, .batch_statistics = of_batch.as<par>()});
            network.forward(tape, input(tape, batch));
            const auto left = copy_to_host<char>(k.memory, of_batch.data(), bytes);
            mine.insert(mine.end(), left.begin(), left.end());
            ++seen;
        });

    const auto batches = int64_t(options.comm().sum({seen})[0]);
    if (batches == 0)  // on every rank alike
        throw SharedError(
            {.exit = Exit::data,
             .text = text(data.set.name, ": ", samples.size(), " training images do not fill one batch of ",
                          options.batch_size, " for batch norm's statistics")});
    const std::vector<char> all = gather_all(options.comm(), mine);
    for (int64_t i = 0; count > 0 && i < batches; ++i) {
        // running = (1 - 1/n) running + 1/n batch: the mean of n batches
        k.memory.copy_in(of_batch.data(), all.data() + size_t(i) * bytes, bytes, {});
        k.batchnorm.follow(count, 1, 1.0 / double(i + 1),
                           {.running = network.params.statistics(), .of = of_batch.as<par>()}, {});
    }
    k.memory.synchronize({});
    network.params.touch();
    return batches;
}

}  // namespace fp
