// Physical removal: the network that is left when channels are cut out. No masks, no holes: the same code
// with smaller numbers.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/core/channel_sets.h"
#include "engine/core/network.h"

namespace fp {

// By set name: the channels to remove, as the network numbers them now.
using Removal = std::map<std::string, std::vector<int>>;

// What is kept of each parameter: indices along K and C of the old one, ascending.
struct Kept {
    std::vector<int> rows, columns;
};
std::map<std::string, Kept> kept_of(const Network&, const std::vector<ChannelSet>&, const Removal&);

// The spec of the network that is left. Nothing removed, a set emptied, an unknown or repeated channel: Errors.
ModelSpec narrowed(const ModelSpec&, const std::vector<ChannelSet>&, const Removal&);

// The values that are left of a parameter's, file order in and out.
std::vector<double> gather(const Param& old, const Kept& kept, const std::vector<double>& values);

// The network that is left, with the parameters and statistics of the old one.
std::unique_ptr<Network> cut(const Network&, const std::vector<ChannelSet>&, const Removal&);

// Silences channels in place: the norm of every producer of the set gets scale and shift 0 there (no norm:
// filter and bias), so the channel is 0 at every consumer. Cutting is the same function with less work.
void silence(Network&, const std::vector<ChannelSet>&, const Removal&);

// What the paper's released code does instead: the filters' weights become 0, biases and norms stay, so the
// channel still emits a function of its bias, and nothing gets smaller. For comparison only.
void mask_filters(Network&, const std::vector<ChannelSet>&, const Removal&);

// Composes removals.
KeptChannels compose(const KeptChannels& before, const std::vector<ChannelSet>&, const Removal&);

}  // namespace fp
