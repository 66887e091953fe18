// What fine-tuning changes, and the images that batch norm is recalibrated on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/core/network.h"
#include "engine/data/dataset.h"
#include "engine/prune/settings.h"

namespace fp {

// Marks the parameters that fine-tuning changes: all, head (the layer of the logits) or norm (scales and shifts).
void choose_trainable(Network&, const std::string& what);

// Random weights for the layer of the logits, as at the start of a training.
void renew_head(Network&, uint64_t seed);

// Training images for new statistics of batch norm: as many as PruneSettings::recalibrate batches hold, drawn anew in
// each round (from 0).
std::vector<int64_t> recalibration_samples(const Dataset&, const PruneSettings&, int round);

}  // namespace fp
