// What fine-tuning after a cut trains, and on what its statistics rest.
#pragma once

#include "engine/prune/settings.h"

namespace fp {

// Marks the parameters that fine-tuning changes: all, head (the layer of the logits) or norm (scales and shifts).
void choose_trainable(Network&, const std::string& what);

// Training images for new statistics of batch norm: as many as PruneSettings::recalibrate batches hold, drawn anew in
// each round (from 0).
std::vector<int64_t> recalibration_samples(const Dataset&, const PruneSettings&, int round);

// The averaged weights become the network's own.
void adopt_average(Trainer&, Network&);

}  // namespace fp
