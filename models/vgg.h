#pragma once

#include "engine/core/network.h"

namespace fp::models {

bool is_vgg(const std::string& arch);
std::unique_ptr<Network> vgg(const ModelSpec&, const Kernels&);

}  // namespace fp::models
