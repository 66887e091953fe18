// Removal of channels: the network that is left is the same code with smaller widths, without masks or holes.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/core/channel_sets.h"
#include "engine/core/network.h"

namespace fp {

// By set name: the channels to remove, in the network's current numbering.
using Removal = std::map<std::string, std::vector<int>>;

// A filter of a convolution or a linear layer, a row per channel.
bool is_filter(const Param&);

// The indices of a parameter that are kept along K and C, ascending.
struct Kept {
    std::vector<int> rows, columns;
};
std::map<std::string, Kept> kept_of(const Network&, const std::vector<ChannelSet>&, const Removal&);

// The spec of the network that is left. An Error where nothing is removed, a set is emptied, or a channel is unknown or
// repeated.
ModelSpec narrowed(const ModelSpec&, const std::vector<ChannelSet>&, const Removal&);

// The values of a parameter that are kept; both are in the order of files.
std::vector<double> gather(const Param& old, const Kept& kept, const std::vector<double>& values);

// The network that is left, with the old one's parameters and statistics.
std::unique_ptr<Network> cut(const Network&, const std::vector<ChannelSet>&, const Removal&);

// Sets channels to 0 in place: the norm of every layer of the set gets scale and shift 0 there (without a norm: filter
// and bias), so every consumer reads 0. The network that cut() returns computes the same function.
void silence(Network&, const std::vector<ChannelSet>&, const Removal&);

// The method of the paper's released code, for comparison: filter weights are set to 0, biases and norms stay, so the
// channel is still a function of its bias, and nothing gets smaller.
void mask_filters(Network&, const std::vector<ChannelSet>&, const Removal&);

// The channels of the original network that are left, when `before` was left and these are removed from it.
KeptChannels compose(const KeptChannels& before, const std::vector<ChannelSet>&, const Removal&);

}  // namespace fp
