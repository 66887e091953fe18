// What a cut costs, whether it is right, and whether the device gains by it.
#pragma once

#include "engine/prune/baseline.h"

namespace fp {

// Shares of the dense model's multiply-adds, parameters, or time (measured in turns with it).
Cost cost_of(const Baseline&);

// The largest difference of a logit between the cut network and the old one with the same channels silenced, over the
// largest logit, on a batch of training images.
double difference_from_silenced(
    const Network& old, const Network& cut, const std::vector<ChannelSet>&, const Removal&, const Baseline&);

// A device computes channels in blocks, so a set that fills as many blocks as before the cut is smaller and no faster. How
// many sets do, and what --round-to would keep what is free; empty where none does.
std::string slow_sets_text(const Kernels&, const std::vector<ChannelSet>&, const Removal&);

// One line per fact: who produces the channels of a set, what is cut, who reads them.
std::string describe(const ChannelSet&);

}  // namespace fp
