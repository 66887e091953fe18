// A pass over samples of a data set, batch by batch.
#pragma once

#include <functional>

#include "engine/core/session.h"
#include "engine/data/dataset.h"
#include "engine/data/device_input.h"
#include "engine/data/loader.h"
#include "engine/data/preprocessing.h"

namespace fp {

// Where images come from, and whose they are.
struct ImageData {
    Dataset set;
    ImageSource source;
    std::function<bool()> ready = {};                   // as LoaderOptions has it
    std::shared_ptr<UnreadableImages> unreadable = {};  // filled by `source`; may be null
    std::vector<int32_t> labels() const;
};

struct PredictOptions {
    int batch_size = 128;
    int workers = 0;
    bool skip_bad = false;
    std::function<void(int64_t done, int64_t all)> progress = {};
};

// A network, and the samples that it is run on. References are to outlive the pass.
struct Pass {
    Session& session;
    const Preprocessing& preprocessing;
    const ImageData& data;
    const std::vector<int64_t>& samples;
    PredictOptions options = {};

    const Network& network() const { return session.network(); }
    const Kernels& kernels() const { return network().kernels(); }
};

// What becomes of samples that do not fill the last batch. Padded, a batch has no more rows than there are samples.
enum class LastBatch { padded, dropped };

// Calls `visit` for each batch, in the order of the samples. Rows of padding and of skipped images have the label -1;
// padding stands at the end of the last batch.
void for_each_batch(const Pass&, LastBatch, const std::function<void(const Batch&, DeviceInput&)>& visit);

}  // namespace fp
