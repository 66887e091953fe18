#include "engine/run/checkpoint.h"

#include <algorithm>

#include "engine/io/columns.h"
#include "engine/io/files.h"
#include "engine/io/hash.h"
#include "engine/io/safetensors_parts.h"
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

static void add_text(Xxh3& hash, std::string_view text) {
    const uint64_t bytes = text.size();  // so that "ab","c" is not "a","bc"
    hash.add(std::as_bytes(std::span(&bytes, 1)));
    hash.add(as_bytes(text));
}

static std::string hash_of(const TensorEntry& t) {
    Xxh3 hash;
    add_text(hash, t.name);
    add_text(hash, name(t.dtype));
    hash.add(std::as_bytes(std::span(t.shape)));
    hash.add(t.data);
    return hash.hex();
}

SectionHashes section_hashes(const TensorFile& file) {
    SectionHashes hashes;
    Xxh3 metadata;
    for (const auto& [key, value] : file.metadata) {
        add_text(metadata, key);
        add_text(metadata, value);
    }
    hashes[kMetadataSection] = metadata.hex();
    for (const TensorEntry& t : file.tensors) hashes[t.name] = hash_of(t);
    return hashes;
}

// Of a model file's description, without what others have added to its metadata.
static std::string card_hash(const TensorFile& file) {
    Xxh3 card;
    card.add(as_bytes(file.metadata.at(kCardKey)));
    return card.hex();
}

// Of a model file: its tensors and its description.
static SectionHashes model_hashes(const TensorFile& file) {
    SectionHashes hashes = section_hashes(file);
    hashes[kMetadataSection] = card_hash(file);
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

static void check_hash(const std::string& section,
                       const std::string& found,
                       const std::string& saved,
                       const std::string& file_name) {
    FP_REQUIRE(found == saved, Exit::model, file_name, ": ", printable(section), " is damaged: its XXH3-128 is ", found,
               ", saved was ", printable(saved));
}

static void check_hashes(const SectionHashes& found, const SectionHashes& saved, const std::string& file_name) {
    for (const auto& [name, hash] : saved) {
        const auto section = found.find(name);
        FP_REQUIRE(section != found.end(), Exit::model, file_name, ": ", printable(name), " is missing");
        check_hash(name, section->second, hash, file_name);
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

static void set_batches_seen(Network& network, const TensorFile& file, const std::string& file_name) {
    for (const Param& p : network.params.all()) {
        if (!p.name.ends_with("running_var")) continue;
        if (const TensorEntry* tracked = file.find(tracked_name(p))) {
            FP_REQUIRE(count_of(tracked->shape) == 1, Exit::model, file_name, ": ", tracked->name,
                       " is not one number");
            network.batches_seen = values_of<int64_t>(*tracked)[0];
        }
    }
}

void load_values(Network& network, const TensorFile& file, const std::string& file_name) {
    for (const Param& p : network.params.all()) set_values(network.params, p, entry_of(p, file, file_name), file_name);
    set_batches_seen(network, file, file_name);
}

// The hashes that a model file has of its sections; none in a file without any. Checks those of which `header`, whose
// tensors need no data, tells.
static SectionHashes saved_hashes(const TensorFile& header, const std::string& file_name) {
    const auto hashes = header.metadata.find(kHashesKey);
    if (hashes == header.metadata.end()) return {};
    SectionHashes saved = parse_hashes(hashes->second, file_name);
    for (const TensorEntry& t : header.tensors)
        FP_REQUIRE(saved.contains(t.name), Exit::model, file_name, ": no XXH3-128 of ", printable(t.name), " in its `",
                   kHashesKey, "`");
    for (const auto& [name, hash] : saved)
        if (name == kMetadataSection)
            check_hash(name, card_hash(header), hash, file_name);
        else
            FP_REQUIRE(header.find(name), Exit::model, file_name, ": ", printable(name), " is missing");
    return saved;
}

void check_model(const TensorFile& file, const std::string& file_name) {
    const SectionHashes saved = saved_hashes(file, file_name);
    if (!saved.empty()) check_hashes(model_hashes(file), saved, file_name);
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

// The tensors of `header` need no data: `each` calls its argument for every tensor with its data.
using Visit = std::function<void(const TensorEntry&)>;
static LoadedModel load(const TensorFile& header,
                        const std::function<void(const Visit&)>& each,
                        const std::string& file_name,
                        const Architectures& architectures,
                        const Kernels& k) {
    const auto found = header.metadata.find(kCardKey);
    FP_REQUIRE(found != header.metadata.end(), Exit::model, file_name,
               ": is no fairprune checkpoint (no `fairprune` in its metadata); fp_train --weights "
               "FILE --epochs 0 makes one");
    const SectionHashes saved = saved_hashes(header, file_name);
    try {
        auto [spec, card] = parse_card(found->second, file_name);
        const Architecture& architecture = find_architecture(architectures, spec.arch);
        check_shapes(architecture, spec, header, file_name, k);
        LoadedModel out{.network = std::make_unique<Network>(architecture, spec, k), .card = std::move(card)};
        for (const auto& [key, value] : header.metadata)
            if (key != kCardKey && key != kHashesKey && key != "format") out.card.other[key] = value;
        TensorFile others;
        each([&](const TensorEntry& t) {
            if (!saved.empty()) check_hash(t.name, hash_of(t), saved.at(t.name), file_name);
            if (const Param* p = out.network->params.find(t.name))
                set_values(out.network->params, *p, t, file_name);
            else
                others.tensors.push_back(t);
        });
        set_batches_seen(*out.network, others, file_name);
        return out;
    } catch (const Error& e) {
        const std::string what = e.what();
        if (what.starts_with(file_name)) throw;
        fail_with(Exit::model, file_name, ": ", what);
    }
}

LoadedModel checkpoint_of(const TensorFile& file,
                          const std::string& file_name,
                          const Architectures& architectures,
                          const Kernels& k) {
    const auto each = [&](const Visit& visit) { std::ranges::for_each(file.tensors, visit); };
    return load(file, each, file_name, architectures, k);
}

std::optional<SeenImages> seen_in_file(const std::string& path) {
    if (path.empty()) return std::nullopt;
    const auto metadata = read_metadata(path);
    const auto card = metadata.find(kCardKey);
    return card == metadata.end() ? std::nullopt : parse_card(card->second, path).card.seen;
}

LoadedModel read_checkpoint(const std::filesystem::path& path, const Architectures& architectures, const Kernels& k) {
    const SafetensorsParts file(path);
    return load(
        file.header(), [&](const Visit& visit) { file.for_each(visit); }, path.string(), architectures, k);
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
