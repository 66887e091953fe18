#include "tests/kernels/probe/recording.h"

#include <algorithm>
#include <cstring>
#include <sstream>

#include "engine/io/hash.h"
#include "engine/io/safetensors.h"

namespace fp {
namespace {

std::string axes_of(const ProbeOutput& o) {
    std::string out;
    for (const auto& axis : o.shape) out += (out.empty() ? "" : ";") + axis.name;
    return out;
}

std::string metadata(const TensorFile& file, const std::string& key) {
    const auto found = file.metadata.find(key);
    return found == file.metadata.end() ? "" : found->second;
}

std::string hash_of(const TensorFile& file) {
    Xxh3 hash;
    for (const TensorEntry& t : file.tensors) {
        hash.add(as_bytes(t.name));
        hash.add(t.data);
    }
    return hash.hex();
}

}  // namespace

Recording read_recording(const std::filesystem::path& path) {
    const TensorFile file = read_safetensors(path);
    FP_REQUIRE(metadata(file, "format") == Recording::kFormat, Exit::model, path.string(), ": format '",
               printable(metadata(file, "format")), "', wanted '", Recording::kFormat, "'");
    FP_REQUIRE(metadata(file, "hash") == hash_of(file), Exit::model, path.string(), ": damaged: its outputs hash to ",
               hash_of(file), ", it says ", printable(metadata(file, "hash")));
    Recording out{.device = metadata(file, "device"),
                  .commit = metadata(file, "commit"),
                  .date = metadata(file, "date"),
                  .outputs = {}};
    for (const TensorEntry& t : file.tensors) {
        FP_REQUIRE(t.dtype == Dtype::i32 || t.dtype == Dtype::f32, Exit::model, path.string(), ": ", printable(t.name),
                   " is ", name(t.dtype), ", wanted I32 or F32");
        ProbeOutput& o = out.outputs[t.name];
        std::istringstream axes(metadata(file, "axes." + t.name));
        for (const int64_t size : t.shape) {
            std::string axis;
            std::getline(axes, axis, ';');
            o.shape.push_back({axis, size});
        }
        o.words.resize(t.data.size() / sizeof(uint32_t));
        std::memcpy(o.words.data(), t.data.data(), t.data.size());
    }
    return out;
}

void write_recording(const std::filesystem::path& path, const std::vector<Probe>& probes, const Recording& r) {
    TensorFile file{
        .metadata = {{"format", Recording::kFormat}, {"device", r.device}, {"commit", r.commit}, {"date", r.date}},
        .tensors = {}};
    for (const Probe& p : probes) {
        const auto found = r.outputs.find(p.name);
        if (found == r.outputs.end()) continue;
        const ProbeOutput& o = found->second;
        std::vector<int64_t> shape;
        for (const auto& axis : o.shape) shape.push_back(axis.size);
        const auto bytes = std::as_bytes(std::span(o.words));
        file.tensors.push_back({.name = p.name,
                                .dtype = p.floats() ? Dtype::f32 : Dtype::i32,
                                .shape = shape,
                                .data = Bytes(bytes.begin(), bytes.end())});
        file.metadata["axes." + p.name] = axes_of(o);
    }
    file = parse_safetensors(safetensors_bytes(file), path.string());  // in the file's order
    file.metadata["hash"] = hash_of(file);
    write_safetensors(path, file);
}

std::vector<std::string> differences(const std::vector<Probe>& probes, const Recording& r, const Memory& memory) {
    std::vector<std::string> out;
    for (const auto& recorded : r.outputs) {
        const auto p = std::find_if(probes.begin(), probes.end(),
                                    [&recorded](const Probe& q) { return q.name == recorded.first; });
        if (p == probes.end()) {
            out.push_back(recorded.first + ": recorded, and no such probe is in the list");
            continue;
        }
        const std::string sentence = difference(*p, recorded.second, p->run(memory));
        if (!sentence.empty()) out.push_back(sentence);
    }
    return out;
}

}  // namespace fp
