#include "engine/prune/criteria/snnl.h"

#include "engine/data/dataset.h"
#include "kernels/error.h"

namespace fp {
namespace {

const std::string kClass = "class";

void score_snnl(const Scoring& s, ChannelScores& out) {
    const ScoreOptions& o = s.options;
    std::vector<int32_t> classes, units;
    std::map<std::string, int32_t> unit_index;
    for (const int64_t i : s.samples) {
        const Sample& sample = s.data.set.samples[i];
        classes.push_back(sample.label);
        units.push_back(unit_index.emplace(sample.unit, int32_t(unit_index.size())).first->second);
    }
    std::vector<LabelSet> labels;
    for (const auto& [a, weight] : o.attributes) {
        const Grouping g = group_by(s.data.set, a);
        require_comparable(g);
        LabelSet set{.name = a, .of = {}, .unit = units};
        for (const int64_t i : s.samples) set.of.push_back(g.of[i]);
        labels.push_back(std::move(set));
    }
    SnnlOptions snnl = o.snnl;
    snnl.seed = o.seed;
    if (snnl.block == 0 && snnl.definition == SnnlShape::Definition::as_released) snnl.block = 128;
    // What tells the class is not asked within one class.
    const std::vector<LabelSet> own{{.name = kClass, .of = classes, .unit = units}};
    const bool apart = o.protect != 0 && snnl.given_class;
    SnnlOptions over_all = snnl;
    over_all.given_class = false;
    if (o.protect != 0 && !apart) labels.push_back(own[0]);
    for_each_layer(
        {s.session, s.preprocessing, s.data, s.samples, o.predict}, s.layers, o.tap, o.budget_bytes, [&](Features& f) {
            const auto add = [&](const std::vector<LabelSet>& sets, const SnnlOptions& options) {
                for (LayerScores& r : score_layer(s.session.network().kernels(), f, sets, classes, options, o.tap))
                    out.layers.push_back(std::move(r));
            };
            if (!labels.empty()) add(labels, snnl);
            if (apart) add(own, over_all);
        });
}

}  // namespace

SetScores snnl_set_scores(const std::vector<ChannelSet>& sets,
                          const std::vector<LayerScores>& scores,
                          const std::map<std::string, double>& attribute_weights,
                          const std::string& class_name,
                          double lambda) {
    double weights = 0;
    for (const auto& [attribute, weight] : attribute_weights) weights += weight;
    FP_REQUIRE(weights > 0, Exit::usage, "scores: the attributes' weights sum to ", weights);
    SetScores out;
    for (const ChannelSet& set : sets) {
        if (!set.prunable) continue;
        std::vector<double> value(set.channels, 0.0);
        int layers = 0;
        for (const std::string& layer : set.layers) {
            bool seen = false;
            for (const LayerScores& r : scores) {
                if (r.layer != layer) continue;
                double share = 0;
                if (const auto w = attribute_weights.find(r.attribute); w != attribute_weights.end()) {
                    share = w->second / weights;
                    seen = true;
                } else if (r.attribute == class_name) {
                    share = -lambda;
                } else {
                    continue;
                }
                if (share == 0) continue;
                FP_REQUIRE(r.reason.empty(), Exit::data, "scores of ", layer, " by ", r.attribute,
                           ": not estimable: ", r.reason);
                FP_REQUIRE(int(r.normalized.size()) == set.channels, Exit::data, "scores of ", layer, ": ",
                           r.normalized.size(), " channels, the model has ", set.channels);
                for (int c = 0; c < set.channels; ++c)
                    value[c] += share * r.normalized[c] + (r.attribute == class_name ? lambda : 0);
            }
            layers += seen;
        }
        if (layers == 0) continue;
        for (double& v : value) v /= layers;
        out[set.name()] = value;
    }
    return out;
}

namespace criteria {
extern const Criterion snnl{
    .name = "snnl",
    .says = "the channels whose neighbourhoods tell the groups of --attribute",
    .paper = "https://arxiv.org/abs/1902.01889",
    .needs = Needs::groups,
    .score = score_snnl,
    .combine = [](const std::vector<ChannelSet>& sets, const std::vector<LayerScores>& layers, const ScoreOptions& o) {
        return snnl_set_scores(sets, layers, o.attributes, kClass, o.protect);
    }};
}

}  // namespace fp
