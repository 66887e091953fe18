// Batch norm's running statistics of a network whose channels have been removed.
#pragma once

#include "engine/eval/predict.h"

namespace fp {

// New running means and variances for every batch norm: the plain mean, over whole batches of the samples, of the
// statistics that training would see there. Labels, weights and everything else stay as they are. A batch with an image
// that was skipped is left out. Returns the number of batches that counted; Exit::data where it is 0. Each rank computes a
// part of the batches; all take the mean over them in the same order, so they have the bits that one rank has. A rank sends
// its batches' statistics to each other one, so each holds those of all batches; a process alone holds their mean. Where it
// throws, the statistics are as they were.
int64_t recalibrate_norms(
    Network&, const Preprocessing&, const ImageData&, const std::vector<int64_t>& samples, const PredictOptions&);

}  // namespace fp
