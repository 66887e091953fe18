#include "engine/eval/batches.h"

#include <algorithm>

namespace fp {

std::vector<int32_t> ImageData::labels() const {
    std::vector<int32_t> out;
    for (const Sample& s : set.samples) out.push_back(s.label);
    return out;
}

void for_each_batch(const Pass& pass, LastBatch last, const std::function<void(const Batch&, DeviceInput&)>& visit) {
    const int64_t all = int64_t(pass.samples.size());
    const bool drop = last == LastBatch::dropped;
    const int batch_size = drop ? pass.options.batch_size : int(std::min<int64_t>(pass.options.batch_size, all));
    Loader loader(pass.data.source, pass.data.labels(),
                  {.batch_size = batch_size,
                   .image_size = pass.preprocessing.image_size,
                   .workers = pass.options.workers,
                   .ready = pass.data.ready,
                   .drop_last = drop,
                   .skip_bad = pass.options.skip_bad,
                   .memory = &pass.kernels().memory});
    loader.start(pass.samples, 0);
    DeviceInput input(pass.kernels(), pass.preprocessing);
    Batch batch;
    while (loader.next(batch)) {
        visit(batch, input);
        if (pass.options.progress) pass.options.progress(std::min((batch.number + 1) * batch.n, all), all);
    }
}

}  // namespace fp
