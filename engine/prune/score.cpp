#include "engine/prune/score.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/data/attributes.h"
#include "engine/io/files.h"
#include "engine/prune/criteria/gradient_criteria.h"
#include "engine/prune/criteria/skewness.h"
#include "kernels/error.h"
#include "kernels/random.h"

namespace fp {
namespace {

using nlohmann::ordered_json;
const std::string kClass = "class";

std::vector<std::string> names_of(const std::map<std::string, double>& weights) {
    std::vector<std::string> out;
    for (const auto& [name, weight] : weights) out.push_back(name);
    return out;
}

}  // namespace

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

namespace {

// What scoring reads, common to all criteria.
struct Scoring {
    Session& session;
    const Preprocessing& preprocessing;
    const ImageData& data;
    const std::vector<Node>& rows;
    const ScoreOptions& o;
    std::vector<ChannelSet> sets = channel_sets(rows);
    std::vector<std::string> layers = match_layers(rows, sets, o.layers);
    std::vector<std::string> attributes = names_of(o.attributes);
    std::vector<int64_t> samples = {};

    void draw_samples() { samples = calibration_samples(data, attributes, o.samples, o.seed); }
    GradientSamples gradient_samples() const {
        return {.data = data, .preprocessing = preprocessing, .predict = o.predict, .seed = o.seed};
    }
    // Of the sets that the layers belong to.
    SetScores asked_for(const SetScores& all) const {
        SetScores out;
        for (const std::string& layer : layers) {
            const std::string& set = set_of(sets, layer).name();
            const auto found = all.find(set);
            FP_REQUIRE(found != all.end(), Exit::data, "criterion ", o.criterion, ": ", set,
                       " has no batch norm");
            out[set] = found->second;
        }
        return out;
    }
};

SetScores order_from(const Scoring& s, const std::vector<LayerScores>& layers) {
    return snnl_set_scores(s.sets, layers, s.o.attributes, kClass, s.o.protect);
}

void score_snnl(Scoring& s, ChannelScores& out) {
    std::vector<int32_t> classes, units;
    std::map<std::string, int32_t> unit_index;
    for (const int64_t i : s.samples) {
        const Sample& sample = s.data.set.samples[i];
        classes.push_back(sample.label);
        units.push_back(unit_index.emplace(sample.unit, int32_t(unit_index.size())).first->second);
    }
    std::vector<LabelSet> labels;
    for (const std::string& a : s.attributes) {
        const Grouping g = group_by(s.data.set, a);
        require_comparable(g);
        LabelSet set{.name = a, .of = {}, .unit = units};
        for (const int64_t i : s.samples) set.of.push_back(g.of[i]);
        labels.push_back(std::move(set));
    }
    SnnlOptions snnl = s.o.snnl;
    snnl.seed = s.o.seed;
    if (snnl.block == 0 && snnl.definition == SnnlShape::Definition::as_released) snnl.block = 128;
    // What tells the class is not asked within one class.
    const std::vector<LabelSet> own{{.name = kClass, .of = classes, .unit = units}};
    const bool apart = s.o.protect != 0 && snnl.given_class;
    SnnlOptions over_all = snnl;
    over_all.given_class = false;
    if (s.o.protect != 0 && !apart) labels.push_back(own[0]);
    for_each_layer(
        {s.session, s.preprocessing, s.data, s.samples, s.o.predict}, s.layers, s.o.tap,
        s.o.budget_bytes, [&](Features& f) {
            const auto add = [&](const std::vector<LabelSet>& sets, const SnnlOptions& options) {
                for (LayerScores& r :
                     score_layer(s.session.network().kernels(), f, sets, classes, options, s.o.tap))
                    out.layers.push_back(std::move(r));
            };
            if (!labels.empty()) add(labels, snnl);
            if (apart) add(own, over_all);
        });
    out.sets = order_from(s, out.layers);
}

// The mean over a set's scored layers; the highest goes first.
SetScores skewness_values(Scoring& s) {
    SetScores sum;
    std::map<std::string, int> layers;
    for_each_layer({s.session, s.preprocessing, s.data, s.samples, s.o.predict}, s.layers, s.o.tap,
                   s.o.budget_bytes, [&](Features& f) {
                       const std::string& set = set_of(s.sets, f.layer).name();
                       const std::vector<double> own = skewness(s.session.network().kernels(), f);
                       sum[set].resize(own.size(), 0.0);
                       for (size_t c = 0; c < own.size(); ++c) sum[set][c] -= own[c];
                       ++layers[set];
                   });
    for (auto& [set, values] : sum)
        for (double& v : values) v /= layers[set];
    return sum;
}

// Attributes that count: one of weight 0 is reported on and not pruned by.
std::vector<std::string> weighted(const ScoreOptions& o) {
    std::vector<std::string> out;
    for (const auto& [name, weight] : o.attributes)
        if (weight != 0) out.push_back(name);
    return out;
}

// For criteria that look at the losses of one attribute's groups.
Grouping one_grouping(const Scoring& s) { return group_by(s.data.set, weighted(s.o).at(0)); }

}  // namespace

void check_scoring(const ScoreOptions& o) {
    std::string known;
    for (const std::string& name : criterion_names()) known += " " + name;
    FP_REQUIRE(std::count(criterion_names().begin(), criterion_names().end(), o.criterion) == 1,
               Exit::usage, "criterion ", printable(o.criterion), " is unknown; there are", known);
    const size_t attributes = weighted(o).size();
    FP_REQUIRE(!needs_groups(o.criterion) || !o.attributes.empty(), Exit::usage, "criterion ",
               o.criterion, " needs an --attribute");
    const bool one = o.criterion == "fairprune" || o.criterion == "fairgrape";
    FP_REQUIRE(!one || attributes == 1, Exit::usage, "criterion ", o.criterion,
               " takes one --attribute, ", attributes,
               " are given; cross them, as in sex*age:60, or weigh the others with =0");
}

ChannelScores scores_from(const ScoresFile& file,
                          const std::vector<Node>& rows,
                          const ScoreOptions& o) {
    FP_REQUIRE(file.criterion == o.criterion, Exit::usage, "--scores: these are scores by ",
               printable(file.criterion), ", --criterion is ", o.criterion);
    const std::vector<ChannelSet> sets = channel_sets(rows);
    ChannelScores out{.criterion = o.criterion, .layers = file.layers, .sets = {}, .note = {}};
    if (o.criterion == "snnl") {
        out.sets = snnl_set_scores(sets, file.layers, o.attributes, kClass, o.protect);
        return out;
    }
    for (const std::string& layer : match_layers(rows, sets, o.layers)) {
        const ChannelSet& set = set_of(sets, layer);
        const auto found = file.sets.find(set.name());
        FP_REQUIRE(found != file.sets.end(), Exit::data, "--scores: ", set.name(),
                   " is not among them");
        FP_REQUIRE(int(found->second.size()) == set.channels, Exit::data, "--scores: ", set.name(),
                   " has ", found->second.size(), " values, the model ", set.channels, " channels");
        out.sets[set.name()] = found->second;
    }
    return out;
}

ChannelScores score_channels(Session& session,
                             const Preprocessing& preprocessing,
                             const ImageData& data,
                             const std::vector<Node>& rows,
                             const ScoreOptions& o) {
    check_scoring(o);
    Scoring s{session, preprocessing, data, rows, o};
    ChannelScores out{.criterion = o.criterion, .layers = {}, .sets = {}, .note = {}};
    if (is_weight_criterion(o.criterion)) {
        out.sets =
            over_mean(s.asked_for(weight_values(o.criterion, session.network(), s.sets, o.seed)));
        return out;
    }
    s.draw_samples();
    SetScores values;
    if (o.criterion == "snnl") {
        score_snnl(s, out);
        return out;
    } else if (o.criterion == "skewness") {
        values = skewness_values(s);
    } else if (o.criterion == "taylor") {
        values = taylor_values(session, s.sets, s.samples, s.gradient_samples());
    } else if (o.criterion == "fairprune") {
        std::string chosen;
        values = fairprune_values(session, s.sets, s.samples, one_grouping(s), o.protected_group,
                                  o.beta, s.gradient_samples(), chosen);
        out.note = text("the protected group is ", chosen, ", beta ", o.beta);
    } else if (o.criterion == "fairgrape") {
        values =
            fairgrape_values(session, s.sets, s.samples, one_grouping(s), s.gradient_samples());
    } else {
        fail("criterion without an implementation");
    }
    out.sets = over_mean(s.asked_for(values));
    return out;
}

ordered_json scores_json(const ChannelScores& scores,
                         const ScoreOptions& o,
                         const std::string& model_hash) {
    ordered_json layers = ordered_json::array();
    for (const LayerScores& r : scores.layers) layers.push_back(to_json(r));
    ordered_json sets = ordered_json::object();
    for (const auto& [name, values] : scores.sets) sets[name] = values;
    ordered_json out{{"model", model_hash},      {"criterion", o.criterion},
                     {"layers_asked", o.layers}, {"samples", o.samples},
                     {"seed", o.seed},           {"protect", o.protect},
                     {"layers", layers},         {"sets", sets}};
    if (!scores.note.empty()) out["note"] = scores.note;
    return out;
}

}  // namespace fp
