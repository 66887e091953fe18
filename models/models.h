// Every architecture by name. Parameter names and shapes are torchvision's; widths come from the spec, so a pruned
// network is the same code with smaller numbers. A family is one constant in a file of its own and one line in
// models.cpp.
#pragma once

#include <string>

#include "engine/core/network.h"

namespace fp::models {

extern const Architecture resnet;  // resnet18/34/50/101/152, wide_resnet50_2, wide_resnet101_2
extern const Architecture vgg;     // vgg11/13/16/19, with batch norm as *_bn

const Architectures& all();
std::string names();  // of all, separated by commas

// Parameters are allocated and zero. Exit::usage for an unknown architecture or stem.
std::unique_ptr<Network> build(const ModelSpec&, const Kernels&);

}  // namespace fp::models
