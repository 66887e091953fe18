// What a checkpoint says of a network: enough to build it again, pruned or not.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace fp {

struct ModelSpec {
    std::string arch = "resnet18";
    int classes = 8;
    std::string stem = "imagenet";  // or "small": a 3x3 convolution of stride 1, no pooling
    double width = 1;               // every layer's channels are multiplied by this
    std::map<std::string, int> widths = {};  // by layer: only those that pruning has narrowed

    // Output channels of a layer that the paper gives `full`.
    int channels(const std::string& layer, int full) const;
    bool operator==(const ModelSpec&) const = default;
};

// By layer: the channels that are still there, in the numbering of the network that was never cut.
using KeptChannels = std::map<std::string, std::vector<int>>;

nlohmann::ordered_json to_json(const ModelSpec&);
ModelSpec spec_from_json(
    const nlohmann::ordered_json&);  // Exit::model where a field is missing or wrong

}  // namespace fp
