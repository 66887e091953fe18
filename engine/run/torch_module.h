// A network, pruned or not, for PyTorch: a module of plain Python that builds it, and its weights.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "engine/run/checkpoint.h"

namespace fp {

extern const std::string_view kTorchModel;  // torch/model.py: {summary}, {constants} and {network} are to be filled in

// The text of model.py: constants from the spec and the card, the family's module (Architecture::torch), and what loads
// the weights and prepares an image.
std::string torch_module(const Network&, const ModelCard&);

struct TorchFolder {
    std::filesystem::path module, weights;
};
// Writes model.py and model.safetensors, a checkpoint with all that the card holds. Makes the folder where there is
// none.
TorchFolder write_torch_folder(const std::filesystem::path& folder, const Network&, const ModelCard&);

}  // namespace fp
