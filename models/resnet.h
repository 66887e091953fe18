#pragma once

#include "engine/core/network.h"

namespace fp::models {

bool is_resnet(const std::string& arch);
std::unique_ptr<Network> resnet(const ModelSpec&, const Kernels&);

}  // namespace fp::models
