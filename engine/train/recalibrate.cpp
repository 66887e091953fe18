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
    Buffer of_batch(k.memory, std::max<size_t>(bytes, 1)), mean(k.memory, std::max<size_t>(bytes, 1));
    k.memory.zero(of_batch.data(), bytes, {});
    if (count > 0) k.memory.copy(mean.data(), network.params.statistics(), bytes, {});
    int64_t taken = 0;
    const auto take_in = [&] {  // mean = (1 - 1/n) mean + 1/n batch: the mean of n batches
        ++taken;
        if (count > 0)
            k.batchnorm.follow(count, 1, 1.0 / double(taken), {.running = mean.as<par>(), .of = of_batch.as<par>()},
                               {});
    };

    Session session(network);
    const bool alone = options.comm().alone();
    double seen = 0;
    std::vector<char> mine;  // of each batch of one of several ranks, one behind another: all add them in their order
    for_each_batch(
        {session, preprocessing, data, samples, options}, LastBatch::dropped,
        [&](const Batch& batch, DeviceInput& input) {
            if (std::ranges::min(batch.labels) < 0) return;  // an image was skipped
            Tape tape = session.begin({.mode = Mode::train, .dropout = false, .batch_statistics = of_batch.as<par>()});
            network.forward(tape, input(tape, batch));
            ++seen;
            if (alone) return take_in();
            const auto left = copy_to_host<char>(k.memory, of_batch.data(), bytes);
            mine.insert(mine.end(), left.begin(), left.end());
        });

    const auto batches = int64_t(options.comm().sum({seen})[0]);
    if (batches == 0)  // on every rank alike
        throw SharedError(
            {.exit = Exit::data,
             .text = text(data.set.name, ": ", samples.size(), " training images do not fill one batch of ",
                          options.batch_size, " for batch norm's statistics")});
    const std::vector<char> all = gather_all(options.comm(), mine);  // none alone
    for (size_t i = 0; i < all.size(); i += bytes) {
        k.memory.copy_in(of_batch.data(), all.data() + i, bytes, {});
        take_in();
    }
    if (count > 0) k.memory.copy(network.params.statistics(), mean.data(), bytes, {});
    k.memory.synchronize({});
    network.params.touch();
    return batches;
}

}  // namespace fp
