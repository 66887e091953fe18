#include "engine/run/import_weights.h"

#include <algorithm>
#include <map>
#include <set>

#include "engine/io/json.h"
#include "engine/io/nearest.h"
#include "engine/run/checkpoint.h"

namespace fp {
namespace {

constexpr size_t kNamesSaid = 3;       // in a line
constexpr size_t kMostCompared = 500;  // names of the file that a missing one is compared with

// The first few names, and how many more there are.
std::string some(const std::vector<std::string>& names) {
    std::string out;
    for (size_t i = 0; i < std::min(names.size(), kNamesSaid); ++i) out += (i > 0 ? ", " : "") + printable(names[i]);
    return names.size() > kNamesSaid ? text(out, " and ", names.size() - kNamesSaid, " more") : out;
}

// A key of another library's file as the network names it.
std::string translated(const std::string& key, const Architecture& architecture) {
    for (const auto& [theirs, ours] : architecture.aliases)
        if (key.starts_with(theirs)) return std::string(ours) + key.substr(theirs.size());
    return key;
}

// Before the names of the file: the prefix with which most are the network's; the shortest of equals, then the first in
// alphabetical order. "" where no prefix does better than none.
std::string common_prefix(const Network& network, const TensorFile& file) {
    std::set<std::string> wanted;
    for (const Param& p : network.params.all()) wanted.insert(p.name);
    std::map<std::string, int> matches;
    for (const TensorEntry& t : file.tensors)
        for (size_t at = 0; at != std::string::npos;) {
            if (wanted.contains(translated(t.name.substr(at), network.architecture))) ++matches[t.name.substr(0, at)];
            at = t.name.find('.', at);
            if (at != std::string::npos) ++at;
        }
    std::string best;
    for (const auto& [prefix, count] : matches) {
        const int most = matches[best];
        if (count > most || (count == most && prefix.size() < best.size() && most > 0)) best = prefix;
    }
    // A few chance matches are no prefix.
    return matches[best] * 2 > int(wanted.size()) ? best : "";
}

class Import {
public:
    Import(Network& network, const WeightsFile& weights, const std::string& file_name)
        : network_(network),
          weights_(weights),
          head_(network.architecture.head),
          report_{.file = file_name, .format = weights.format, .notes = weights.notes} {}

    ImportReport run() {
        read_names();
        std::vector<std::string> missing;
        for (const Param& p : network_.params.all()) {
            const auto found = by_name_.extract(p.name);
            if (found.empty() && !of_head(p))
                missing.push_back(p.name);
            else if (found.empty() || !set(p, *found.mapped()))
                report_.missing.push_back(p.name);
        }
        for (const auto& [key, entry] : by_name_) report_.left_over.push_back(entry->name);
        if (!missing.empty()) refuse(missing);
        for (const auto& [name, reason] : weights_.left_out)
            report_.notes.push_back(text(printable(name), " was left out: ", reason));
        for (const auto& [dtype, count] : converted_)
            report_.notes.push_back(text(count, " tensors were converted from ", dtype));
        return report_;
    }

private:
    bool of_head(const Param& p) const { return p.name == head_ + ".weight" || p.name == head_ + ".bias"; }

    void read_names() {
        report_.prefix = common_prefix(network_, weights_.content);
        if (!report_.prefix.empty())
            report_.notes.push_back(text("the prefix `", printable(report_.prefix), "` was stripped"));
        for (const bool prefixed : {true, false})  // a name with the prefix goes before one without
            for (const TensorEntry& t : weights_.content.tensors) {
                if (t.name.starts_with(report_.prefix) != prefixed) continue;
                const std::string bare = prefixed ? t.name.substr(report_.prefix.size()) : t.name;
                const std::string key = translated(bare, network_.architecture);
                if (key != bare) report_.notes.push_back(text(printable(bare), " was read as ", key));
                if (!key.ends_with("num_batches_tracked") && !by_name_.emplace(key, &t).second)
                    report_.left_over.push_back(t.name);
            }
    }

    // False for a head of another size.
    bool set(const Param& p, const TensorEntry& found) {
        std::vector<int64_t> shape = found.shape;
        // timm's [K,C,7,7] is torchvision's [K,C*49], value for value.
        if (p.kind == Param::Kind::linear && count_of(shape) == p.count() && !shape.empty() && shape[0] == p.shape.k)
            shape = p.file_shape();
        if (shape != p.file_shape() && of_head(p)) {
            report_.notes.push_back(text(p.name, " of the file has the shape ", shape_text(shape), ", the model's is ",
                                         shape_text(p.file_shape())));
            return false;
        }
        const TensorEntry entry{.name = found.name, .dtype = found.dtype, .shape = shape, .data = found.data};
        set_values(network_.params, p, entry, report_.file);
        if (found.dtype != Dtype::f32) ++converted_[std::string(name(found.dtype))];
        report_.loaded.push_back(p.name);
        return true;
    }

    [[noreturn]] void refuse(const std::vector<std::string>& missing) const {
        std::vector<std::string> there = report_.left_over;
        there.resize(std::min(there.size(), kMostCompared));
        std::vector<std::string> said;
        for (const std::string& name : missing) {
            const auto left_out = weights_.left_out.find(report_.prefix + name);
            if (left_out != weights_.left_out.end())
                said.push_back(text(name, " (is ", left_out->second, ")"));
            else if (!there.empty() && said.size() < kNamesSaid)
                said.push_back(text(name, " (nearest: ", printable(nearest(name, there)), ")"));
            else
                said.push_back(name);
        }
        fail_with(Exit::model, report_.file, ": ", missing.size(), " of ", network_.params.all().size(),
                  " parameters of ", network_.spec.arch, " are missing: ", some(said), "; ", report_.left_over.size(),
                  " tensors of the file have no place",
                  report_.left_over.empty() ? "" : ": " + some(report_.left_over));
    }

    Network& network_;
    const WeightsFile& weights_;
    const std::string head_;
    ImportReport report_;
    std::map<std::string, const TensorEntry*> by_name_ = {};
    std::map<std::string, int> converted_ = {};
};

}  // namespace

ImportReport import_weights(Network& network, const WeightsFile& weights, const std::string& file_name) {
    return Import(network, weights, file_name).run();
}

std::vector<std::string> lines_of(const ImportReport& r) {
    std::string line = text(printable(r.file), ": ", r.loaded.size(), " tensors loaded (", r.format, ")");
    if (!r.missing.empty()) line += text("; the head (", some(r.missing), ") starts anew");
    if (!r.left_over.empty()) line += text("; ", r.left_over.size(), " not used: ", some(r.left_over));
    std::vector<std::string> out{line};
    for (const std::string& note : r.notes) out.push_back("  " + note);
    return out;
}

std::string json_of(const ImportReport& r) {
    return json_document([&](nlohmann::ordered_json& document) { write(document, r); });
}

}  // namespace fp
