// Every architecture by name: resnet18/34/50/101, vgg11/13/16/19 with and without _bn. Parameter names
// and shapes are torchvision's; widths come from the spec, so a pruned network is the same code with
// smaller numbers.
#pragma once

#include <string>
#include <vector>

#include "engine/core/network.h"

namespace fp::models {

std::vector<std::string> names();

// Parameters are allocated and zero. Exit::usage for an unknown architecture or stem.
std::unique_ptr<Network> build(const ModelSpec&, const Kernels&);

// torchvision's initial weights, drawn from the seed: convolutions normal with variance 2 / (k r s),
// norms 1 and 0; linear layers uniform +-1/sqrt(inputs) in ResNets, normal 0.01 and zero bias in VGGs.
void initialize(Network&, uint64_t seed);

// The classifier's layer name ("fc", "classifier.6"): what is replaced when the classes change.
std::string head(const ModelSpec&);

}  // namespace fp::models
