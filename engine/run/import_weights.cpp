#include "engine/run/import_weights.h"

#include <algorithm>
#include <map>
#include <set>

#include "engine/io/columns.h"
#include "engine/io/json.h"
#include "engine/io/nearest.h"
#include "engine/run/checkpoint_json.h"

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

// timm's head [K,C,7,7] is torchvision's [K,C*49], value for value.
bool fits(const Param& p, const std::vector<int64_t>& shape) {
    return shape == p.file_shape() ||
           (p.kind == Param::Kind::linear && count_of(shape) == p.count() && !shape.empty() && shape[0] == p.shape.k);
}

bool is_counter(const std::string& key) { return key.ends_with("num_batches_tracked"); }

// The tensors below each prefix of the file's names that are the network's by name, by the network's name.
using ByPrefix = std::map<std::string, std::map<std::string, const TensorEntry*>>;

ByPrefix by_prefix(const Network& network, const TensorFile& file) {
    std::set<std::string> wanted;
    for (const Param& p : network.params.all()) wanted.insert(p.name);
    ByPrefix out;
    for (const TensorEntry& t : file.tensors)
        for (size_t at = 0; at != std::string::npos;) {
            const std::string key = translated(t.name.substr(at), network.architecture);
            if (wanted.contains(key)) out[t.name.substr(0, at)].emplace(key, &t);
            at = t.name.find('.', at);
            if (at != std::string::npos) ++at;
        }
    return out;
}

bool equal(const std::map<std::string, const TensorEntry*>& a, const std::map<std::string, const TensorEntry*>& b) {
    return std::ranges::equal(a, b, [](const auto& x, const auto& y) {
        return x.first == y.first && x.second->dtype == y.second->dtype &&
               std::ranges::equal(x.second->data, y.second->data);
    });
}

std::string shown_prefix(const std::string& prefix) {
    return prefix.empty() ? std::string("no prefix") : "`" + printable(prefix) + "`";
}

// Before the names of the file: the one prefix below which the whole network but its head stands. Exit::model where
// there are several with different values. Where there is none, the prefix with which most names are the network's; ""
// where no prefix does better than none.
std::string common_prefix(const Network& network, const TensorFile& file, const std::string& file_name) {
    const std::string head = std::string(network.architecture.head) + ".";
    ByPrefix found = by_prefix(network, file);
    std::vector<std::string> whole;
    for (const auto& [prefix, tensors] : found) {
        const auto& below = tensors;
        const bool all = std::ranges::all_of(network.params.all(), [&](const Param& p) {
            const auto at = below.find(p.name);
            return p.name.starts_with(head) || (at != below.end() && fits(p, at->second->shape));
        });
        if (all) whole.push_back(prefix);
    }
    std::ranges::stable_sort(whole, {}, &std::string::size);
    if (!whole.empty()) {
        const bool same = std::ranges::all_of(whole, [&](const auto& p) { return equal(found[p], found[whole[0]]); });
        std::vector<std::string> names;
        for (const std::string& prefix : whole) names.push_back(shown_prefix(prefix));
        FP_REQUIRE(same, Exit::model, file_name, ": holds ", whole.size(), " networks that fit ", network.spec.arch,
                   ", under the prefixes ", list(names), "; --weights-prefix PREFIX chooses one");
        return whole[0];
    }
    std::string best;
    for (const auto& [prefix, tensors] : found)
        if (tensors.size() > found[best].size()) best = prefix;
    // A few chance matches are no prefix.
    return found[best].size() * 2 > network.params.all().size() ? best : "";
}

// The prefix as the user wrote it, with or without its last dot.
std::string chosen_prefix(std::string prefix, const TensorFile& file, const std::string& file_name) {
    if (!prefix.empty() && !prefix.ends_with('.')) prefix += '.';
    const auto below = [&](const TensorEntry& t) { return t.name.starts_with(prefix); };
    FP_REQUIRE(std::ranges::any_of(file.tensors, below), Exit::model, file_name,
               ": no name of a tensor starts with --weights-prefix ", prefix, "; the first is ",
               file.tensors.empty() ? "missing" : printable(file.tensors[0].name));
    return prefix;
}

std::string normalization_text(const Preprocessing& p) {
    const Preprocessing none;
    const auto three = [](const std::array<float, 3>& v) { return text(v[0], ",", v[1], ",", v[2]); };
    return "scaled to 0..1 and " + (p.mean == none.mean && p.std == none.std
                                        ? std::string("not normalised (--normalize none)")
                                        : "normalised (--normalize " + three(p.mean) + "/" + three(p.std) + ")");
}

class Import {
public:
    Import(Network& network,
           const WeightsFile& weights,
           const std::string& file_name,
           const std::optional<std::string>& prefix)
        : network_(network),
          weights_(weights),
          head_(network.architecture.head),
          report_{.file = file_name, .format = weights.format, .notes = weights.notes} {
        report_.prefix = prefix ? chosen_prefix(*prefix, weights.content, file_name)
                                : common_prefix(network, weights.content, file_name);
    }

    ImportReport run() {
        read_names();
        find_head();
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
        if (!report_.prefix.empty())
            report_.notes.push_back(text("the prefix `", printable(report_.prefix), "` was stripped"));
        for (const bool prefixed : {true, false})  // a name with the prefix goes before one without
            for (const TensorEntry& t : weights_.content.tensors) {
                if (t.name.starts_with(report_.prefix) != prefixed) continue;
                const std::string bare = prefixed ? t.name.substr(report_.prefix.size()) : t.name;
                const std::string key = translated(bare, network_.architecture);
                if (key != bare) report_.notes.push_back(text(printable(bare), " was read as ", key));
                if (!is_counter(key) && !by_name_.emplace(key, &t).second) report_.left_over.push_back(t.name);
            }
    }

    // A head like Sequential(Dropout, Linear) has its one layer as HEAD.1. Several layers are another head.
    void find_head() {
        if (by_name_.contains(head_ + ".weight")) return;
        std::set<std::string> layers;
        for (const auto& [key, entry] : by_name_)
            if (key.starts_with(head_ + ".") && key != head_ + ".bias") layers.insert(key.substr(0, key.rfind('.')));
        if (layers.size() > 1)
            report_.notes.push_back(text("the head of the file has several layers (",
                                         some({layers.begin(), layers.end()}), "), the model's ", head_, " is one"));
        if (layers.size() != 1) return;
        for (const std::string part : {".weight", ".bias"}) {
            auto found = by_name_.extract(*layers.begin() + part);
            if (found.empty()) continue;
            report_.notes.push_back(text(printable(found.key()), " was read as ", head_, part));
            found.key() = head_ + part;
            by_name_.insert(std::move(found));
        }
    }

    // False for a head of another size.
    bool set(const Param& p, const TensorEntry& found) {
        std::vector<int64_t> shape = found.shape;
        if (fits(p, shape)) shape = p.file_shape();
        if (shape != p.file_shape()) refuse_other_width(p, shape);
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

    // For a checkpoint of ours. A head may have the width of other classes.
    void refuse_other_width(const Param& p, const std::vector<int64_t>& shape) const {
        const bool other_classes = of_head(p) && (shape.size() < 2 || shape[1] == p.file_shape()[1]);
        FP_REQUIRE(other_classes || !weights_.content.metadata.contains(kCardKey), Exit::model, report_.file, ": ",
                   p.name, " has the shape ", shape_text(shape), ", the model's is ", shape_text(p.file_shape()),
                   ": the file is a checkpoint of another width, as pruning leaves it, which fp_train does not build; "
                   "fp_prune --checkpoint prunes and tunes it");
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

ImportReport import_weights(Network& network,
                            const WeightsFile& weights,
                            const std::string& file_name,
                            const std::optional<std::string>& prefix) {
    return Import(network, weights, file_name, prefix).run();
}

void add_meaning(ImportReport& r,
                 const WeightsFile& weights,
                 const std::vector<std::string>& classes,
                 const Preprocessing& pixels) {
    if (r.missing.empty())
        r.notes.push_back(text("its outputs are taken to be ", list(classes), ", in this order (--classes)"));
    r.notes.push_back("pixels are " + normalization_text(pixels));
    const auto card = weights.content.metadata.find(kCardKey);
    if (card == weights.content.metadata.end()) return;
    const ModelCard own = parse_card(card->second, r.file).card;
    if (r.missing.empty() && own.classes != classes)
        r.notes.push_back(text("caution: in the file its outputs are ", list(own.classes), ", in this order"));
    if (own.preprocessing.mean != pixels.mean || own.preprocessing.std != pixels.std)
        r.notes.push_back("caution: the file's model was trained on pixels " + normalization_text(own.preprocessing));
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
