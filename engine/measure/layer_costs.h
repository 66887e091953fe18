// What each layer of a network costs: shapes, parameters, multiply-adds, bytes, and, where it was measured, time.
#pragma once

#include <string>
#include <vector>

#include "engine/core/trace.h"

namespace fp {

struct LayerCost {
    std::string layer = {};  // torchvision's name; rows without one are called by their op
    std::string op = {};
    int in_channels = 0, out_channels = 0, height = 0, width = 0;  // of the output
    int64_t parameters = 0;
    double macs = 0, bytes = 0;   // of the forward pass: multiply-adds; activations and weights moved
    double activation_bytes = 0;  // of the output
    double backward_macs = 0;     // as many as forward for each gradient, of the input and of the filter
    // Of a measured row: multiply-adds that ran (kernels/executed.h), and the name of the forward pass's
    // implementation.
    double executed_macs = 0, executed_backward_macs = 0;
    std::string implementation = {};
    double forward_seconds = 0, backward_seconds = 0;  // of a whole batch; 0 where not measured
};

// Of one image, by walking the network, for activations of its kernels' type or of this one.
std::vector<LayerCost> layer_costs(const Network&, int image_size);
std::vector<LayerCost> layer_costs(const Architecture&, const ModelSpec&, int image_size, Type activation = Type::f32);
// Of rows that ran with TapeOptions::profile, with the work of their whole batch.
std::vector<LayerCost> layer_costs(const std::vector<Node>& rows, Type activation);

struct Totals {
    double macs = 0, bytes = 0, activation_bytes = 0, seconds = 0;
    int64_t parameters = 0;
};
Totals totals(const std::vector<LayerCost>&);

}  // namespace fp
