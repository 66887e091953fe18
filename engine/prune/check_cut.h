// The cost of a cut network, whether the cut is correct, and whether the device becomes faster by it.
#pragma once

#include "engine/measure/layer_costs.h"
#include "engine/prune/baseline.h"

namespace fp {

// The channels that these kernels compute where a map has so many.
int filled(const Kernels&, int channels);
// The least number of which every multiple fills its blocks. Wide layers may have larger blocks than narrow ones.
int filling_multiple(const Kernels&);

// Shares of the dense model's multiply-adds, parameters, or time (measured in turns with it; of several ranks, which then
// all ask at once, by the first for all, since times of their own would let them cut differently).
Cost cost_of(const Baseline&, const Comm* ranks = nullptr);

// The largest difference of a logit between the cut network and the old one with the same channels silenced, over the
// largest logit, on a batch of training images.
double difference_from_silenced(const Network& old,
                                const Network& cut,
                                const std::vector<ChannelSet>&,
                                const Removal&,
                                const Baseline&,
                                const Steps& progress = {});

// What `choose` rounds by without round_to: the blocks of these kernels (of several ranks, which then all ask at once, of
// the first's), and the noise of the scores.
Ties ties_of(const Kernels&,
             const std::vector<ChannelSet>&,
             std::map<std::string, double> noise,
             const Comm* ranks = nullptr);

// A device computes channels in blocks, so a set that fills as many blocks as before the cut is smaller but no faster.
// The number of such sets and the --round-to that avoids them; empty where there is none.
std::string slow_sets_text(const Kernels&, const std::vector<ChannelSet>&, const Removal&);

// The multiply-adds that a device computes for channels that are not there, where a cut layer's number of channels fills
// no whole blocks and the dense one's did, over those of the cut network. The rows of both are those of layer_costs().
double padding_share(const Kernels&, const std::vector<LayerCost>& dense, const std::vector<LayerCost>& cut);
// That share in words, with the --round-to that makes it 0; empty below 1 %.
std::string padding_text(const Kernels&, double share);

// One line per fact: who produces the channels of a set, what is cut, who reads them.
std::string describe(const ChannelSet&);

}  // namespace fp
