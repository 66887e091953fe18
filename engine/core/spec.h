// What a network is built from, pruned or not. Checkpoints store it.
#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

namespace fp {

struct ModelSpec {
    std::string arch = "resnet18";
    int classes = 8;
    std::string stem = "imagenet";           // or "small": a 3x3 convolution of stride 1, no pooling
    double width = 1;                        // every layer's channels are multiplied by this
    std::map<std::string, int> widths = {};  // by layer: only those that pruning has narrowed

    // Output channels of a layer that has `full` in the paper.
    int channels(const std::string& layer, int full) const {
        const auto found = widths.find(layer);
        return found == widths.end() ? std::max(1, int(std::lround(full * width))) : found->second;
    }
    bool operator==(const ModelSpec&) const = default;
};

// By layer: the channels that are left, in the numbering of the network that was never cut.
using KeptChannels = std::map<std::string, std::vector<int>>;

}  // namespace fp
