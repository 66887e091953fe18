// The families as PyTorch modules: the text of torch/*.py (Architecture::torch).
#pragma once

#include <string_view>

namespace fp::models {

extern const std::string_view kTorchResNet, kTorchVgg;

}  // namespace fp::models
