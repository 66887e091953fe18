// Batch norm's running statistics after a surgery: what they averaged belongs to a network that is no more.
#pragma once

#include "engine/eval/predict.h"

namespace fp {

// New running means and variances for every batch norm: the plain mean over whole batches of `samples` of what
// training would see there. Labels, weights and everything else stay as they are. A batch with an image that could not be had is left out. Answers how many batches counted;
// Exit::data where there is none.
int64_t recalibrate_norms(Network&,
                          const Preprocessing&,
                          const ImageData&,
                          const std::vector<int64_t>& samples,
                          const PredictOptions&);

}  // namespace fp
