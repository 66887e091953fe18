// The loss's gradient over a calibration set, batch by batch: evaluation mode, running statistics, no
// update. What the gradient-based criteria are made of.
#pragma once

#include "engine/eval/predict.h"

namespace fp {

// alike: d mean loss / d theta of the batch.
// signed_samples: each sample's loss is first multiplied by +1 or -1, keyed by (seed, sample). The square of
// that gradient times the batch's samples is an estimate of the mean squared gradient of a sample,
// mean_i g_i^2, without bias, since the signs' products have mean 0; with one sample a batch it is exact.
enum class SampleSigns { alike, signed_samples };

// Runs `visit(n)` after each batch of n samples, when the gradients of all parameters lie in the network's
// store. Returns the mean loss over the samples. Every parameter must be trainable.
double for_each_gradient(const Pass&, SampleSigns, uint64_t seed, const std::function<void(int64_t n)>& visit);

}  // namespace fp
