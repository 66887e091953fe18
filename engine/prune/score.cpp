#include "engine/prune/score.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/data/attributes.h"
#include "kernels/error.h"
#include "kernels/random.h"

namespace fp {
namespace {

using nlohmann::ordered_json;
const std::string kClass = "class";

bool matches(const char* pattern, const char* name) {
    if (*pattern == 0) return *name == 0;
    if (*pattern == '*') return matches(pattern + 1, name) || (*name && matches(pattern, name + 1));
    return *name && (*pattern == '?' || *pattern == *name) && matches(pattern + 1, name + 1);
}

std::vector<std::string> names_of(const std::map<std::string, double>& weights) {
    std::vector<std::string> out;
    for (const auto& [name, weight] : weights) out.push_back(name);
    return out;
}

}  // namespace

std::vector<std::string> match_layers(const std::vector<Node>& rows,
                                      const std::vector<ChannelSet>& sets,
                                      const std::string& pattern) {
    std::vector<std::string> all, out;
    std::string last;
    for (const Node& node : rows) {
        if (node.channels != Channels::fresh || node.layer.empty() ||
            !set_of(sets, node.layer).prunable)
            continue;
        all.push_back(node.layer);
        const bool is_conv = node.op == "conv2d";
        // A shortcut runs after its block's convolutions or before; it is never the last one.
        if (is_conv && node.layer.find("downsample") == std::string::npos) last = node.layer;
        if (pattern == "all" ? is_conv
                             : pattern != "last" && matches(pattern.c_str(), node.layer.c_str()))
            out.push_back(node.layer);
    }
    if (pattern == "last") out = {last};
    std::string known;
    for (const std::string& name : all) known += " " + name;
    FP_REQUIRE(!out.empty() && !out[0].empty(), Exit::usage, "layers `", pattern,
               "` names none of:", known);
    return out;
}

std::vector<int64_t> calibration_samples(const ImageData& data,
                                         const std::vector<std::string>& attributes,
                                         int64_t count,
                                         uint64_t seed) {
    const std::vector<int64_t> train = members(data.set, Split::train);
    FP_REQUIRE(!train.empty(), Exit::data, data.set.name, ": the training split is empty");
    if (count <= 0 || count >= int64_t(train.size())) return train;
    // One cell a combination of groups; each gives its share, fractions by the largest remainder.
    std::map<std::vector<int>, std::vector<int64_t>> cells;
    std::vector<Grouping> groupings;
    for (const std::string& a : attributes) groupings.push_back(group_by(data.set, a));
    for (const int64_t s : train) {
        std::vector<int> cell;
        for (const Grouping& g : groupings) cell.push_back(g.of[s]);
        cells[cell].push_back(s);
    }
    std::vector<std::pair<double, std::vector<int64_t>*>> remainders;
    std::map<std::vector<int64_t>*, int64_t> take;
    int64_t given = 0;
    for (auto& [cell, samples] : cells) {
        const double share = double(count) * double(samples.size()) / double(train.size());
        take[&samples] = int64_t(share);
        given += int64_t(share);
        remainders.emplace_back(share - std::floor(share), &samples);
    }
    std::stable_sort(remainders.begin(), remainders.end(),
                     [](const auto& a, const auto& b) { return a.first > b.first; });
    for (size_t i = 0; given < count; ++i, ++given) ++take[remainders[i].second];
    std::vector<int64_t> out;
    for (auto& [samples, wanted] : take) {
        for (int64_t i = 0; i < wanted; ++i) {
            const int64_t left = int64_t(samples->size()) - i;
            std::swap((*samples)[i],
                      (*samples)[i + int64_t(uniform_below(uint64_t(left), key_of(seed, 0x5ca1e),
                                                           uint64_t((*samples)[i])))]);
        }
        out.insert(out.end(), samples->begin(), samples->begin() + wanted);
    }
    std::sort(out.begin(), out.end());
    return out;
}

SetScores order_from(const std::vector<ChannelSet>& sets,
                     const std::vector<LayerScores>& layers,
                     const ScoreOptions& o) {
    return snnl_set_scores(sets, layers, o.attributes, kClass, o.protect);
}

ChannelScores score_channels(Session& session,
                             const Preprocessing& preprocessing,
                             const ImageData& data,
                             const std::vector<Node>& rows,
                             const ScoreOptions& o) {
    const Network& net = session.network();
    const std::vector<ChannelSet> sets = channel_sets(rows);
    const std::vector<std::string> layers = match_layers(rows, sets, o.layers);
    ChannelScores out;
    if (o.criterion != "snnl") {
        SetScores all = weight_scores(o.criterion, net, sets, o.seed);
        for (const std::string& layer : layers) {
            const std::string& set = set_of(sets, layer).name();
            out.sets[set] = all.at(set);
        }
        return out;
    }
    FP_REQUIRE(!o.attributes.empty(), Exit::usage, "criterion snnl needs an --attribute");
    const std::vector<std::string> attributes = names_of(o.attributes);
    const std::vector<int64_t> samples = calibration_samples(data, attributes, o.samples, o.seed);
    std::vector<int32_t> classes;
    for (const int64_t s : samples) classes.push_back(data.set.samples[s].label);
    std::vector<LabelSet> labels;
    for (const std::string& a : attributes) {
        const Grouping g = group_by(data.set, a);
        require_comparable(g);
        LabelSet set{.name = a, .of = {}};
        for (const int64_t s : samples) set.of.push_back(g.of[s]);
        labels.push_back(std::move(set));
    }
    if (o.protect != 0) labels.push_back({.name = kClass, .of = classes});
    for_each_layer(
        session, preprocessing, data, samples, layers, o.tap, o.predict, o.budget_bytes,
        [&](Features& f) {
            SnnlOptions snnl = o.snnl;
            if (snnl.block == 0 && snnl.definition == SnnlShape::Definition::as_released)
                snnl.block = 128;
            for (LayerScores& r : score_layer(net.kernels(), f, labels, classes, snnl, o.tap))
                out.layers.push_back(std::move(r));
        });
    out.sets = order_from(sets, out.layers, o);
    return out;
}

ordered_json scores_json(const ChannelScores& scores,
                         const ScoreOptions& o,
                         const std::string& model_hash) {
    ordered_json layers = ordered_json::array();
    for (const LayerScores& r : scores.layers) layers.push_back(to_json(r));
    ordered_json sets = ordered_json::object();
    for (const auto& [name, values] : scores.sets) sets[name] = values;
    return {{"model", model_hash},      {"criterion", o.criterion},
            {"layers_asked", o.layers}, {"samples", o.samples},
            {"seed", o.seed},           {"protect", o.protect},
            {"layers", layers},         {"sets", sets}};
}

}  // namespace fp
