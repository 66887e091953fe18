#include "engine/prune/score.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "engine/data/placebo.h"
#include "kernels/error.h"
#include "kernels/random.h"

namespace fp {
namespace {

// From layers that have the scores of either half of the samples.
std::map<std::string, double> noise_of(const std::vector<ChannelSet>& sets,
                                       const std::vector<LayerScores>& layers,
                                       const ScoreOptions& o) {
    const auto of_half = [&](size_t half) {
        std::vector<LayerScores> some = layers;
        for (LayerScores& r : some) r.normalized = r.halves.value()[half];
        return o.criterion->combine(sets, some, o);
    };
    return fp::noise_of(of_half(0), of_half(1));
}

}  // namespace

std::vector<int64_t> calibration_samples(const ImageData& data,
                                         const std::vector<std::string>& attributes,
                                         int64_t count,
                                         uint64_t seed,
                                         const std::optional<uint64_t>& placebo) {
    const std::vector<int64_t> train = members(data.set, Split::train);
    FP_REQUIRE(!train.empty(), Exit::data, data.set.name, ": the training split is empty");
    if (count <= 0 || count >= int64_t(train.size())) return train;
    // A cell per combination of groups gets its share of `count`; the largest remainders get what rounding down leaves.
    struct Cell {
        std::vector<int64_t> samples = {};
        int64_t wanted = 0;
        double remainder = 0;
    };
    std::map<std::vector<int>, Cell> cells;
    std::vector<Grouping> groupings;
    for (const std::string& a : attributes) groupings.push_back(groups_seen(data.set, a, placebo));
    for (const int64_t s : train) {
        std::vector<int> groups;
        for (const Grouping& g : groupings) groups.push_back(g.of[s]);
        cells[groups].samples.push_back(s);
    }
    std::vector<Cell*> by_remainder;
    int64_t given = 0;
    for (auto& [groups, cell] : cells) {
        const double share = double(count) * double(cell.samples.size()) / double(train.size());
        cell.wanted = int64_t(share);
        cell.remainder = share - std::floor(share);
        given += cell.wanted;
        by_remainder.push_back(&cell);
    }
    std::ranges::stable_sort(by_remainder, std::greater<>(), &Cell::remainder);
    for (size_t i = 0; given < count; ++i, ++given) ++by_remainder[i]->wanted;
    std::vector<int64_t> out;
    for (auto& [groups, cell] : cells) {
        for (int64_t i = 0; i < cell.wanted; ++i) {
            const uint64_t left = cell.samples.size() - uint64_t(i);
            const uint64_t draw = uniform_below(left, key_of(seed, 0x5ca1e), uint64_t(cell.samples[i]));
            std::swap(cell.samples[i], cell.samples[size_t(i) + draw]);
        }
        out.insert(out.end(), cell.samples.begin(), cell.samples.begin() + cell.wanted);
    }
    std::sort(out.begin(), out.end());
    return out;
}

void check_scoring(const ScoreOptions& o) {
    const Criterion& criterion = *o.criterion;
    FP_REQUIRE(!reads_groups(o) || !o.attributes.empty(), Exit::usage, "criterion ", criterion.name,
               " needs an --attribute");
    const size_t attributes = weighted(o).size();
    FP_REQUIRE(criterion.needs < Needs::one_attribute || attributes == 1, Exit::usage, "criterion ", criterion.name,
               " takes one --attribute, ", attributes,
               " are given; cross them, as in sex*age:60, or weigh the others with =0");
}

ChannelScores scores_from(const ScoresFile& file, const std::vector<Node>& rows, const ScoreOptions& o) {
    check_settings(file, o);
    const std::vector<ChannelSet> sets = channel_sets(rows);
    ChannelScores out{.criterion = file.criterion};
    for (const std::string& layer : match_layers(rows, sets, o.layers)) {
        const ChannelSet& set = set_of(sets, layer);
        const auto found = file.sets.find(set.name());
        const size_t before = out.layers.size();
        std::ranges::copy_if(file.layers, std::back_inserter(out.layers),
                             [&](const LayerScores& scores) { return scores.layer == layer; });
        FP_REQUIRE(o.criterion->combine ? out.layers.size() > before : found != file.sets.end(), Exit::model,
                   "--scores: layers was ", file.layers_asked, ", is ", o.layers, ", and ", layer,
                   " is not among them");
        if (o.criterion->combine) continue;
        FP_REQUIRE(int(found->second.size()) == set.channels, Exit::data, "--scores: ", set.name(), " has ",
                   found->second.size(), " values, the model ", set.channels, " channels");
        out.sets[set.name()] = found->second;
    }
    if (o.criterion->combine) out.sets = o.criterion->combine(sets, out.layers, o);
    // Other weights, another --protect or fewer layers make other values, of which the file's noise says nothing.
    for (const auto& [set, noise] : file.noise) {
        const auto now = out.sets.find(set);
        const auto then = file.sets.find(set);
        if (now != out.sets.end() && then != file.sets.end() && now->second == then->second) out.noise[set] = noise;
    }
    return out;
}

ChannelScores score_channels(Session& session,
                             const Preprocessing& preprocessing,
                             const ImageData& data,
                             const std::vector<Node>& rows,
                             const ScoreOptions& o) {
    check_scoring(o);
    const Criterion& criterion = *o.criterion;
    std::vector<ChannelSet> sets = channel_sets(rows);
    const std::vector<std::string> layers = match_layers(rows, sets, o.layers);
    std::erase_if(sets, [](const ChannelSet& set) { return !set.prunable; });
    Scoring scoring{
        .session = session, .preprocessing = preprocessing, .data = data, .options = o, .sets = sets, .layers = layers};
    if (criterion.needs > Needs::weights)
        scoring.samples = calibration_samples(data, weighted(o), o.samples, o.seed, o.placebo);
    ChannelScores out{.criterion = o.criterion};
    criterion.score(scoring, out);
    if (criterion.combine) {
        out.sets = criterion.combine(sets, out.layers, o);
        if (o.snnl.halves) out.noise = noise_of(sets, out.layers, o);
        return out;
    }
    SetScores asked;  // those that the layers belong to
    for (const std::string& layer : layers) {
        const std::string& set = set_of(sets, layer).name();
        const auto found = out.sets.find(set);
        FP_REQUIRE(found != out.sets.end(), Exit::data, "criterion ", o.criterion, ": ", set, " has no batch norm");
        asked[set] = found->second;
    }
    out.sets = criterion.comparable ? std::move(asked) : over_mean(std::move(asked));
    return out;
}

}  // namespace fp
