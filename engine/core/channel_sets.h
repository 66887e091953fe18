// Which channels can be removed only together. Two convolutions whose outputs meet at an addition must lose the same
// channels, and so must every norm on the way: a union-find over the tape's rows.
#pragma once

#include <string>
#include <vector>

#include "engine/core/tape.h"

namespace fp {

// A set of tied channels: the layers that make them, and the parameters that lose rows or columns with them.
struct ChannelSet {
    int channels = 0;
    std::vector<std::string> layers;   // the convolutions and linear layers that produce them
    std::vector<std::string> rows;     // parameters cut along K: filters, biases, norms
    std::vector<std::string> columns;  // parameters cut along C: the consumers' filters
    bool prunable = true;              // false: the image's own channels, and the logits

    // The name of its last layer.
    const std::string& name() const { return layers.back(); }
    bool operator==(const ChannelSet&) const = default;
};

// Every set that has a producer, in the order of the first one.
std::vector<ChannelSet> channel_sets(const std::vector<Node>& rows);

// The set that `layer` makes; an Error (Exit::usage) where there is no such layer.
const ChannelSet& set_of(const std::vector<ChannelSet>& sets, const std::string& layer);

// The layers that a pattern names, among those whose channels can be removed: `last` is the last convolution that the
// tape recorded, `all` every convolution. Exit::usage where it names none.
std::vector<std::string> match_layers(const std::vector<Node>& rows,
                                      const std::vector<ChannelSet>&,
                                      const std::string& pattern);

}  // namespace fp
