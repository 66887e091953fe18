// The images that a run trains on and those that it validates on.
#pragma once

#include "engine/eval/predict.h"
#include "engine/train/settings.h"

namespace fp {

struct TrainingSplit {
    std::vector<int64_t> train = {}, val = {};  // samples, in the order of the data set
    std::vector<int> labels = {}, groups = {};  // of `train`; groups where the sampler reads them
};

// TrainingSettings::limit_train and overfit_batches applied; what they leave is drawn at random, keyed by the seed.
// Exit::data where one is empty; Exit::usage for a limit that cannot be read, and for a sampler by group without an
// attribute.
TrainingSplit training_split(const ImageData&, const FitOptions&);

// "10%" or "500": so many of `all`, at least one.
int64_t limited(const std::string& limit, int64_t all);

}  // namespace fp
