#pragma once

#include "engine/network.h"

namespace fp::models {

bool is_vgg(const std::string& arch);
std::unique_ptr<Network> vgg(const ModelSpec&, const Kernels&);

}  // namespace fp::models
