// The criterion of soft nearest neighbour scores: scores of layers (snnl_scores.h) combined into values of sets.
#include "engine/data/placebo.h"
#include "engine/parallel/agree.h"
#include "engine/prune/criteria/criteria.h"
#include "kernels/error.h"

namespace fp {
namespace {

const std::string kClass = "class";

// The labels of these samples by attribute, and by class under the name kClass.
std::vector<LabelSet> labels_of(const Scoring& s, const std::vector<int64_t>& samples) {
    LabelSet by_class{.name = kClass, .of = {}};
    std::map<std::string, int32_t> unit_index;
    for (const int64_t i : samples) {
        const Sample& sample = s.data.set.samples[i];
        by_class.of.push_back(sample.label);
        by_class.unit.push_back(unit_index.emplace(sample.unit, int32_t(unit_index.size())).first->second);
    }
    std::vector<LabelSet> out;
    for (const auto& [a, weight] : s.options.attributes) {
        const Grouping g = groups_seen(s.data.set, a, s.options.placebo);
        require_comparable(g);
        LabelSet& set = out.emplace_back(LabelSet{.name = a, .of = {}, .unit = by_class.unit});
        for (const int64_t i : samples) set.of.push_back(g.of[i]);
    }
    out.push_back(std::move(by_class));
    return out;
}

void score_snnl(const Scoring& s, ChannelScores& out) {
    const ScoreOptions& o = s.options;
    SnnlOptions snnl = o.snnl;
    snnl.seed = o.seed;
    snnl.block = block_of(o);
    labels_of(s, {});  // fails for an attribute that cannot be compared, before the forward pass
    s.for_each_layer([&](Features& f, const std::function<void()>& ask) {
        std::vector<LabelSet> labels = labels_of(s, f.samples);
        const LabelSet by_class = labels.back();
        // Samples of one class cannot tell the class, so with given_class its own score is over all samples.
        const bool apart = snnl.given_class;
        if (o.protect == 0 || apart) labels.pop_back();
        const auto add = [&](const std::vector<LabelSet>& sets, const SnnlOptions& options) {
            const Comm& ranks = o.predict.comm();
            std::vector<LayerScores> own;
            agree(ranks, [&] { own = score_layer(s.network().kernels(), f, sets, by_class.of, options, o.tap, ask); });
            for (LayerScores& r : of_all_channels(ranks, std::move(own))) out.layers.push_back(std::move(r));
        };
        if (!labels.empty()) add(labels, snnl);
        if (o.protect == 0 || !apart) return;
        SnnlOptions over_all = snnl;
        over_all.given_class = false;
        add({by_class}, over_all);
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
    .settings = "definition distance temperature tap centre given_class batches permutations protect",
    .combine = [](const std::vector<ChannelSet>& sets, const std::vector<LayerScores>& layers, const ScoreOptions& o) {
        return snnl_set_scores(sets, layers, o.attributes, kClass, o.protect);
    }};
}

}  // namespace fp
