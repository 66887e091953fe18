// A file of weights by anyone: safetensors, or what torch.save wrote (engine/io/torch_archive.h), told apart by
// content. Nothing of a pickle is executed: known are dicts of tensors, and what they are made of.
//
// Of a PyTorch file the state dict is taken: the object itself, or what stands under "state_dict", "model" and the
// like, or the parameters and buffers of a module that was saved whole. Where several stand there (a model and its
// average), all are read, each with its key before the names: "model.", "ema.". Strided and shared tensors are read as
// they look.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "engine/io/safetensors.h"

namespace fp {

struct WeightsFile {
    TensorFile content = {};
    std::string format = {};                           // "safetensors", ...
    std::vector<std::string> notes = {};               // which part of the file was taken
    std::map<std::string, std::string> left_out = {};  // by name: what is no tensor of a type that is read, and why
};

// All tensors together may take 16 times the file's bytes, and a MiB: a tensor may show a value many times. Exit::model
// for what cannot be read.
WeightsFile read_weights(const std::filesystem::path&);
// The metadata of safetensors, without the tensors; empty for what torch.save wrote.
std::map<std::string, std::string> read_metadata(const std::filesystem::path&);
WeightsFile parse_weights(std::span<const std::byte> bytes, const std::string& file_name);

}  // namespace fp
