// A network's answer for every sample of a list.
#pragma once

#include <functional>

#include "engine/core/session.h"
#include "engine/data/dataset.h"
#include "engine/data/loader.h"
#include "engine/data/preprocessing.h"
#include "engine/data/unreadable.h"
#include "engine/fairness/predictions.h"

namespace fp {

// Where images come from, and whose they are.
struct ImageData {
    Dataset set;
    ImageSource source;
    std::function<bool()> ready = {};                   // as LoaderOptions has it
    std::shared_ptr<UnreadableImages> unreadable = {};  // filled by `source`; may be null
    std::vector<int32_t> labels() const;
};

// A table without rows for this data set, and a row for one of its samples.
Predictions no_predictions(const ImageData&);
void add_prediction(Predictions&, const ImageData&, int64_t sample, const float* probabilities);

struct PredictOptions {
    int batch_size = 128;
    int workers = 0;
    bool skip_bad = false;
    std::function<void(int64_t done, int64_t all)> progress = {};
};

// Probabilities in the order of `samples`; images that could not be had and were to be skipped are left out.
Predictions predict(Session&,
                    const Preprocessing&,
                    const ImageData&,
                    const std::vector<int64_t>& samples,
                    const PredictOptions&);

}  // namespace fp
