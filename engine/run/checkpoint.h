// Model files: safetensors with torchvision's names and shapes. The metadata under `fairprune` holds what is needed to
// build the network again, pruned or not, and where it comes from.
#pragma once

#include <filesystem>
#include <map>

#include "engine/core/network.h"
#include "engine/data/preprocessing.h"
#include "engine/data/seen.h"
#include "engine/fairness/threshold.h"
#include "engine/io/safetensors.h"

namespace fp {

// What a model file holds besides the network.
struct ModelCard {
    Preprocessing preprocessing = {};
    std::vector<std::string> classes = {};
    KeptChannels kept = {};                            // absent: all
    std::string provenance = "{}";                     // JSON of who made it and from what: each tool writes its own
    std::map<std::string, Threshold> thresholds = {};  // by class: fp_eval --store-threshold
    std::optional<SeenImages> seen = {};               // not known of models by other versions
    std::map<std::string, std::string> other = {};     // metadata of others, kept as it is
};

// Keys of the metadata: the description (engine/run/checkpoint_json.h), and the section_hashes of the tensors as JSON.
inline constexpr const char* kCardKey = "fairprune";
inline constexpr const char* kHashesKey = "xxh3";

// One tensor per parameter and statistic, and num_batches_tracked per norm.
TensorFile to_file(const Network&, const ModelCard&);

// The XXH3-128 of every tensor (name, dtype, shape and data) and of the metadata.
inline constexpr const char* kMetadataSection = "__metadata__";
using SectionHashes = std::map<std::string, std::string>;
SectionHashes section_hashes(const TensorFile&);
// Exit::model, naming the section, where a saved section is missing or has another hash.
void check_sections(const TensorFile&, const SectionHashes& saved, const std::string& file_name);

// Of a model file with hashes: Exit::model unless all tensors, and the description, are as they were written.
void check_model(const TensorFile&, const std::string& file_name);

struct LoadedModel {
    std::unique_ptr<Network> network;
    ModelCard card;
};
// Exit::model for a file that is no checkpoint of ours, has another format version, is damaged or not complete, or has
// an architecture that is none of these.
LoadedModel read_checkpoint(const std::filesystem::path&, const Architectures&, const Kernels&);
LoadedModel checkpoint_of(const TensorFile&, const std::string& file_name, const Architectures&, const Kernels&);

// What the model of a file has seen; empty for no file, and for one that is no checkpoint of ours.
std::optional<SeenImages> seen_in_file(const std::string& path);

// Reads the values from a checkpoint of the same network. Exit::model where one is missing, has another shape or is not
// finite.
void load_values(Network&, const TensorFile&, const std::string& file_name);
void set_values(ParamStore&, const Param&, const TensorEntry&, const std::string& file_name);  // one of them

// A 128-bit hash of all weights and statistics in hex: equal bits, equal hash.
std::string weights_hash(const Network&);

}  // namespace fp
