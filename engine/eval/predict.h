// A network's class probabilities for samples of a data set.
#pragma once

#include "engine/eval/batches.h"
#include "engine/fairness/predictions.h"

namespace fp {

// A table without rows for this data set, and a row for one of its samples.
Predictions no_predictions(const ImageData&);
void add_prediction(Predictions&, const ImageData&, int64_t sample, const float* probabilities);

// Probabilities in the order of the samples, without images that could not be had and were to be skipped.
Predictions predict(const Pass&);

}  // namespace fp
