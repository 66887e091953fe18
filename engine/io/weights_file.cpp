#include "engine/io/weights_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "engine/io/columns.h"
#include "engine/io/torch_tensors.h"

namespace fp {
namespace {

using Kind = PickleValue::Kind;

constexpr size_t kMostTensors = 100'000, kMostName = 512, kMostDepth = 64;
constexpr uint64_t kMostSteps = 20'000'000;  // of looking at values, some of which may stand in many places
constexpr int kMostLevels = 4;               // of dicts around the state dict
// Keys under which trainers keep the state dict, the likeliest first.
constexpr std::string_view kKeys[]{"state_dict", "model_state_dict", "model_state", "model",          "net",
                                   "network",    "module",           "weights",     "params",         "backbone",
                                   "ema",        "model_ema",        "ema_model",   "ema_state_dict", "state_dict_ema"};

struct NamedValue {
    std::string name;
    PickleRef value;
};

class StateDict {
public:
    StateDict(const Pickle& pickle, const std::string& file) : pickle_(pickle), file_(file) {}

    // The named values of the state dict in the pickle; of several, each under its key as a prefix.
    std::vector<NamedValue> find() {
        collect(pickle_.root, "", 0);
        return std::move(found_);
    }

    std::vector<std::string> notes = {};

private:
    void step(uint64_t count) {
        FP_REQUIRE(count <= steps_left_, Exit::model, file_, ": the dicts of its pickle are nested in each other over ",
                   "and over: looking for tensors takes more than ", kMostSteps, " steps");
        steps_left_ -= count;
    }
    // Counts what Pickle::pairs looks at.
    void step_through(PickleRef dict) {
        const std::optional<PickleRef> listed = pickle_.argument(dict, 0);
        step(1 + pickle_[dict].items.size() + (listed ? pickle_[*listed].items.size() : 0));
    }
    std::vector<std::pair<PickleRef, PickleRef>> pairs(PickleRef ref) {
        step_through(ref);
        return pickle_.pairs(ref);
    }
    std::optional<PickleRef> find(PickleRef dict, std::string_view key) {
        step_through(dict);
        return pickle_.find(dict, key);
    }

    // A torch.nn.Module: an object whose state has these dicts.
    bool is_module(PickleRef ref) {
        const PickleValue& value = pickle_[ref];
        if (value.kind != Kind::call || !value.state) return false;
        return find(*value.state, "_modules") && find(*value.state, "_parameters");
    }

    bool holds_tensors(PickleRef ref) {
        std::optional<bool>& known = holds_[ref];
        if (!known)
            known = std::ranges::any_of(pairs(ref), [&](const auto& p) { return is_tensor(pickle_, p.second); });
        return *known;
    }

    // Whether the weights may be in there: tensors, a module, or one of these under the keys of trainers.
    bool leads_to_tensors(PickleRef ref, int levels = kMostLevels) {
        step(1);
        if (is_module(ref) || holds_tensors(ref)) return true;
        if (levels == 0) return false;
        return std::ranges::any_of(pairs(ref), [&](const auto& p) {
            const std::string& key = pickle_[p.first].text;
            return std::ranges::find(kKeys, key) != std::end(kKeys) && leads_to_tensors(p.second, levels - 1);
        });
    }

    void collect(PickleRef at, const std::string& prefix, int level) {
        step(1);
        if (level == kMostLevels) return take_dict(at, prefix);
        if (is_module(at)) {
            notes.push_back(text("a whole model was saved (", printable(pickle_[at].text),
                                 "): its parameters and buffers were read, its code was not"));
            return walk(at, prefix, 0);
        }
        const std::vector<NamedValue> next = inner(at);
        if (next.empty()) return take_dict(at, prefix);
        for (const NamedValue& n : next) collect(n.value, next.size() == 1 ? prefix : prefix + n.name + ".", level + 1);
    }

    // The values in this dict that hold weights; none where the dict itself does.
    std::vector<NamedValue> inner(PickleRef dict) {
        std::vector<NamedValue> candidates;
        for (const auto& [key, value] : pairs(dict)) {
            if (pickle_[key].kind != Kind::text) continue;
            const std::string& name = pickle_[key].text;
            const bool tensor = is_tensor(pickle_, value), leads = leads_to_tensors(value);
            if (tensor || leads) check_length(name);
            if (tensor && name.find('.') != name.npos) return {};
            if (leads) candidates.push_back({name, value});
        }
        if (candidates.empty()) return {};
        std::vector<NamedValue> known;
        for (const std::string_view key : kKeys)
            std::ranges::copy_if(candidates, std::back_inserter(known),
                                 [&](const NamedValue& c) { return c.name == key; });
        if (!known.empty()) return taken(known, candidates);
        if (candidates.size() == 1) return taken(candidates, candidates);
        std::vector<std::string> names;
        for (const NamedValue& c : candidates) names.push_back(printable(c.name));
        fail_with(Exit::model, file_,
                  ": holds several sets of tensors, and none under a name that trainers use: ", list(names),
                  "; in Python, save the one to start from with torch.save(…, FILE)");
    }
    std::vector<NamedValue> taken(const std::vector<NamedValue>& these, const std::vector<NamedValue>& all) {
        std::vector<std::string> names, others;
        for (const NamedValue& c : all) {
            const bool is_taken = std::ranges::find(these, c.name, &NamedValue::name) != these.end();
            (is_taken ? names : others).push_back(text("\"", printable(c.name), "\""));
        }
        notes.push_back(text(list(names), " of the file ", names.size() == 1 ? "was" : "were", " taken",
                             others.empty() ? "" : "; tensors are also under " + list(others)));
        return these;
    }

    void take_dict(PickleRef dict, const std::string& prefix) {
        const PickleValue& value = pickle_[dict];
        FP_REQUIRE(!is_tensor(pickle_, dict), Exit::model, file_, ": holds one tensor, not the state of a model");
        FP_REQUIRE(
            value.kind == Kind::dict || value.kind == Kind::call, Exit::model, file_,
            ": holds no dict of tensors; in Python, torch.save(model.state_dict(), FILE) makes a file that is read");
        for (const auto& [key, tensor] : pairs(dict))
            if (pickle_[key].kind == Kind::text) add(prefix + pickle_[key].text, tensor);
        FP_REQUIRE(holds_tensors(dict), Exit::model, file_, ": holds no tensors",
                   value.kind == Kind::call ? text(" but ", printable(value.text), ", which is not known here") : "",
                   "; in Python, torch.save(model.state_dict(), FILE) makes a file that is read");
    }

    void walk(PickleRef module, const std::string& prefix, size_t depth) {
        FP_REQUIRE(depth < kMostDepth && prefix.size() <= kMostName, Exit::model, file_,
                   ": modules are nested deeper than ", kMostDepth);
        const PickleRef state = *pickle_[module].state;
        for (const char* part : {"_parameters", "_buffers"})
            if (const auto values = find(state, part))
                for (const auto& [key, value] : pairs(*values))
                    if (pickle_[value].kind != Kind::none) add(prefix + pickle_[key].text, value);
        const auto modules = find(state, "_modules");
        for (const auto& [key, value] : pairs(*modules))
            if (is_module(value)) walk(value, prefix + pickle_[key].text + ".", depth + 1);
    }

    void check_length(const std::string& name) const {
        FP_REQUIRE(name.size() <= kMostName, Exit::model, file_, ": the name ", printable(name, 40), " has ",
                   name.size(), " bytes; ", kMostName, " are allowed");
    }
    void add(const std::string& name, PickleRef value) {
        check_length(name);
        FP_REQUIRE(found_.size() < kMostTensors, Exit::model, file_, ": has more than ", kMostTensors, " tensors");
        found_.push_back({name, value});
    }

    const Pickle& pickle_;
    const std::string& file_;
    uint64_t steps_left_ = kMostSteps;
    std::vector<std::optional<bool>> holds_ = std::vector<std::optional<bool>>(pickle_.values.size());
    std::vector<NamedValue> found_ = {};
};

WeightsFile read_torch(const ByteSource& source, const std::string& file) {
    const TorchArchive archive = open_torch_archive(source, file);
    WeightsFile out{.format = archive.format, .notes = archive.notes};
    StateDict state(archive.pickle, file);
    TorchStorages storages(source, archive, file);
    std::set<std::string> names;
    for (const auto& [name, value] : state.find()) {
        FP_REQUIRE(names.insert(name).second, Exit::model, file, ": the tensor ", printable(name), " is there twice");
        const std::string where = text(file, ": ", printable(name));
        std::string reason;
        if (const auto tensor = tensor_at(archive.pickle, value, where, reason))
            out.content.tensors.push_back(storages.copy(name, *tensor));
        else
            out.left_out[name] = reason;
    }
    out.notes.insert(out.notes.end(), state.notes.begin(), state.notes.end());
    return out;
}

bool is_torch(const ByteSource& source) {
    return looks_like_torch(read_part(source, 0, std::min<uint64_t>(source.bytes, 16)));
}

WeightsFile read_any(const ByteSource& source, const std::string& file, const auto& safetensors) {
    if (is_torch(source)) return read_torch(source, file);
    return {.content = safetensors(), .format = "safetensors"};
}

}  // namespace

WeightsFile read_weights(const std::filesystem::path& path) {
    const InputFile file(path, Exit::model);
    return read_any(source_of(file), shown(path), [&] { return read_safetensors(path); });
}

std::map<std::string, std::string> read_metadata(const std::filesystem::path& path) {
    const InputFile file(path, Exit::model);
    return is_torch(source_of(file)) ? std::map<std::string, std::string>{} : read_safetensors_metadata(path);
}

WeightsFile parse_weights(std::span<const std::byte> bytes, const std::string& file_name) {
    return read_any(source_of(bytes), file_name, [&] { return parse_safetensors(bytes, file_name); });
}

}  // namespace fp
