// What each layer of a network costs: shapes, parameters, multiply-adds, bytes, and, where it was measured, time.
#pragma once

#include <nlohmann/json.hpp>

#include "engine/core/trace.h"

namespace fp {

struct LayerCost {
    std::string layer;  // torchvision's name; rows without one are called by their op
    std::string op;
    int in_channels = 0, out_channels = 0, height = 0, width = 0;  // of the output
    int64_t parameters = 0;
    double macs = 0, bytes = 0;   // of one image: activations read and written, weights
    double activation_bytes = 0;  // of the output
    double backward_macs =
        0;  // of the gradients: as many as forward for each of input and filter that needs one
    double forward_seconds = 0, backward_seconds = 0;  // of a whole batch; 0 where not measured
};

// Of one image, by walking the network.
std::vector<LayerCost> layer_costs(const Architecture&, const ModelSpec&, int image_size);
inline std::vector<LayerCost> layer_costs(const Network& net, int image_size) {
    return layer_costs(net.architecture, net.spec, image_size);
}
// Of rows that ran with TapeOptions::profile, for their batch; macs and bytes are of the whole batch too.
std::vector<LayerCost> layer_costs(const std::vector<Node>& rows);

struct Totals {
    double macs = 0, bytes = 0, activation_bytes = 0, seconds = 0;
    int64_t parameters = 0;
};
Totals totals(const std::vector<LayerCost>&);

}  // namespace fp
