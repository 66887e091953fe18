// A pass through a network that computes nothing, for its shapes, channel sets, multiply-adds and parameters.
#pragma once

#include "engine/core/network.h"

namespace fp {

// The rows that a network records for `batch` images of size x size, in evaluation mode, a row for each op. Its
// parameters have no values; row addresses of parameters belong to the returned network.
struct Trace {
    std::unique_ptr<Network> network;
    std::vector<Node> nodes;
};
Trace trace(const Architecture&, const ModelSpec&, int image_size, int batch = 1, Type activation = Type::f32);
inline Trace trace(const Network& net, int image_size, int batch = 1) {
    return trace(net.architecture, net.spec, image_size, batch, net.kernels().activation);
}

}  // namespace fp
