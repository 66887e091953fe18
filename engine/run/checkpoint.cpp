#include "engine/run/checkpoint.h"

#include "engine/io/columns.h"
#include "engine/io/files.h"
#include "engine/io/hash.h"
#include "engine/io/weights_file.h"
#include "engine/run/checkpoint_json.h"
#include "kernels/error.h"

namespace fp {
namespace {

std::string tracked_name(const Param& running_var) {
    return running_var.name.substr(0, running_var.name.size() - std::string("running_var").size()) +
           "num_batches_tracked";
}

}  // namespace

SectionHashes section_hashes(const TensorFile& file) {
    const auto add_text = [](Xxh3& hash, std::string_view text) {
        const uint64_t bytes = text.size();  // so that "ab","c" is not "a","bc"
        hash.add(std::as_bytes(std::span(&bytes, 1)));
        hash.add(as_bytes(text));
    };
    SectionHashes hashes;
    Xxh3 metadata;
    for (const auto& [key, value] : file.metadata) {
        add_text(metadata, key);
        add_text(metadata, value);
    }
    hashes[kMetadataSection] = metadata.hex();
    for (const TensorEntry& t : file.tensors) {
        Xxh3 hash;
        add_text(hash, t.name);
        add_text(hash, name(t.dtype));
        hash.add(std::as_bytes(std::span(t.shape)));
        hash.add(t.data);
        hashes[t.name] = hash.hex();
    }
    return hashes;
}

// Of a model file: its tensors and its description, without what others have added.
static SectionHashes model_hashes(const TensorFile& file) {
    SectionHashes hashes = section_hashes(file);
    Xxh3 card;
    card.add(as_bytes(file.metadata.at(kCardKey)));
    hashes[kMetadataSection] = card.hex();
    return hashes;
}

TensorFile to_file(const Network& network, const ModelCard& card) {
    TensorFile file;
    for (const Param& p : network.params.all()) {
        if (network.kernels().parameter == Type::f64)
            file.tensors.push_back(tensor_of<double>(p.name, p.file_shape(), network.params.get(p)));
        else
            file.tensors.push_back(tensor_of<float>(p.name, p.file_shape(), network.params.get_f32(p)));
        if (p.name.ends_with("running_var"))
            file.tensors.push_back(tensor_of<int64_t>(tracked_name(p), {}, std::span(&network.batches_seen, 1)));
    }
    file.metadata = card.other;
    file.metadata["format"] = "pt";  // what some loaders look for
    file.metadata[kCardKey] = card_text(network.spec, card);
    file.metadata[kHashesKey] = to_text(model_hashes(file));
    return file;
}

static void check_hashes(const SectionHashes& found, const SectionHashes& saved, const std::string& file_name) {
    for (const auto& [name, hash] : saved) {
        const auto section = found.find(name);
        FP_REQUIRE(section != found.end(), Exit::model, file_name, ": ", printable(name), " is missing");
        FP_REQUIRE(section->second == hash, Exit::model, file_name, ": ", printable(name),
                   " is damaged: its XXH3-128 is ", section->second, ", saved was ", printable(hash));
    }
}

void check_sections(const TensorFile& file, const SectionHashes& saved, const std::string& file_name) {
    check_hashes(section_hashes(file), saved, file_name);
}

static const TensorEntry& entry_of(const Param& p, const TensorFile& file, const std::string& file_name) {
    const TensorEntry* entry = file.find(p.name);
    FP_REQUIRE(entry, Exit::model, file_name, ": ", p.name, " is missing");
    return *entry;
}

static void check_shape(const Param& p, const TensorEntry& entry, const std::string& file_name) {
    FP_REQUIRE(entry.shape == p.file_shape(), Exit::model, file_name, ": ", p.name, " has the shape ",
               shape_text(entry.shape), ", the model's is ", shape_text(p.file_shape()));
}

template <class T>
static bool all_finite(std::span<T> values) {
    std::remove_const_t<T> zeros = 0;  // v - v is NaN where v is not finite
#pragma omp simd reduction(+ : zeros)
    for (size_t i = 0; i < values.size(); ++i) zeros += values[i] - values[i];
    return zeros == 0;
}

void set_values(ParamStore& params, const Param& p, const TensorEntry& entry, const std::string& file_name) {
    check_shape(p, entry, file_name);
    const auto finite = [&](const auto& values) {
        FP_REQUIRE(all_finite(std::span(values)), Exit::model, file_name, ": ", p.name,
                   " has values that are not finite");
        return values.data();
    };
    if (entry.dtype == Dtype::f64)
        params.set(p, finite(values_in<double>(entry)));
    else if (entry.dtype == Dtype::f32)
        params.set_f32(p, finite(values_in<float>(entry)));
    else
        params.set_f32(p, finite(as_f32(entry)));
}

void load_values(Network& network, const TensorFile& file, const std::string& file_name) {
    for (const Param& p : network.params.all()) {
        set_values(network.params, p, entry_of(p, file, file_name), file_name);
        if (p.name.ends_with("running_var"))
            if (const TensorEntry* tracked = file.find(tracked_name(p))) {
                FP_REQUIRE(count_of(tracked->shape) == 1, Exit::model, file_name, ": ", tracked->name,
                           " is not one number");
                network.batches_seen = values_of<int64_t>(*tracked)[0];
            }
    }
}

void check_model(const TensorFile& file, const std::string& file_name) {
    const auto hashes = file.metadata.find(kHashesKey);
    if (hashes == file.metadata.end()) return;
    const SectionHashes saved = parse_hashes(hashes->second, file_name);
    for (const TensorEntry& t : file.tensors)
        FP_REQUIRE(saved.contains(t.name), Exit::model, file_name, ": no XXH3-128 of ", printable(t.name), " in its `",
                   kHashesKey, "`");
    check_hashes(model_hashes(file), saved, file_name);
}

// Before the network takes memory, which may be far more than the file has.
static void check_shapes(const Architecture& architecture,
                         const ModelSpec& spec,
                         const TensorFile& file,
                         const std::string& file_name,
                         const Kernels& k) {
    ParamStore declared(k);
    architecture.build(spec, declared);
    for (const Param& p : declared.all()) check_shape(p, entry_of(p, file, file_name), file_name);
}

LoadedModel checkpoint_of(const TensorFile& file,
                          const std::string& file_name,
                          const Architectures& architectures,
                          const Kernels& k) {
    const auto found = file.metadata.find(kCardKey);
    FP_REQUIRE(found != file.metadata.end(), Exit::model, file_name,
               ": is no fairprune checkpoint (no `fairprune` in its metadata); fp_train --weights "
               "FILE --epochs 0 makes one");
    check_model(file, file_name);
    try {
        auto [spec, card] = parse_card(found->second, file_name);
        const Architecture& architecture = find_architecture(architectures, spec.arch);
        check_shapes(architecture, spec, file, file_name, k);
        LoadedModel out{.network = std::make_unique<Network>(architecture, spec, k), .card = std::move(card)};
        for (const auto& [key, value] : file.metadata)
            if (key != kCardKey && key != kHashesKey && key != "format") out.card.other[key] = value;
        load_values(*out.network, file, file_name);
        return out;
    } catch (const Error& e) {
        const std::string what = e.what();
        if (what.starts_with(file_name)) throw;
        fail_with(Exit::model, file_name, ": ", what);
    }
}

std::optional<SeenImages> seen_in_file(const std::string& path) {
    if (path.empty()) return std::nullopt;
    const auto metadata = read_metadata(path);
    const auto card = metadata.find(kCardKey);
    return card == metadata.end() ? std::nullopt : parse_card(card->second, path).card.seen;
}

LoadedModel read_checkpoint(const std::filesystem::path& path, const Architectures& architectures, const Kernels& k) {
    return checkpoint_of(read_safetensors(path), path.string(), architectures, k);
}

std::string weights_hash(const Network& network) {
    Xxh3 hash;
    for (const Param& p : network.params.all()) {
        const std::vector<double> values = network.params.get(p);
        hash.add(std::as_bytes(std::span(values)));
    }
    return hash.hex();
}

}  // namespace fp
