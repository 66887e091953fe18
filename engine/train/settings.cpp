#include "engine/train/settings.h"

#include "engine/data/augment/augment.h"
#include "engine/data/dataset.h"
#include "engine/fairness/grouping.h"

namespace fp {
namespace {

// 1 / count per class over the training split, scaled to mean 1 over samples; 0 for a class without images.
std::vector<double> balanced_class_weights(const Dataset& set) {
    const std::vector<int64_t> counts = class_counts(set, Split::train);
    const auto samples = double(members(set, Split::train).size()), classes = double(counts.size());
    std::vector<double> weight;
    for (const int64_t n : counts) weight.push_back(n > 0 ? samples / (classes * double(n)) : 0);
    return weight;
}

void check_weights(const TrainingSettings& t) {
    const bool constant = !(t.sample_weights == SampleWeighting::none), robust = t.group_dro.eta > 0;
    FP_REQUIRE(!(constant && robust), Exit::usage, "--sample-weights and --group-dro exclude each other");
    FP_REQUIRE(!(constant || robust) || t.class_weights == "none", Exit::usage,
               constant ? "--sample-weights" : "--group-dro", " and --class-weights exclude each other");
    FP_REQUIRE(!constant || !(t.sampler->by_class || t.sampler->by_group), Exit::usage,
               "--sample-weights and --sampler ", t.sampler, " correct for the same sizes twice; take one of them");
}

LossWeights loss_weights(const TrainingSettings& t, const std::vector<std::string>& attributes, const Dataset& set) {
    check_weights(t);
    LossWeights out;
    const bool constant = !(t.sample_weights == SampleWeighting::none);
    if (!constant && t.group_dro.eta <= 0) return out;
    FP_REQUIRE(!attributes.empty(), Exit::usage, constant ? "--sample-weights" : "--group-dro",
               " needs an --attribute");
    const Grouping g = groups_seen(set, attributes[0], t.placebo);
    require_comparable(g);
    if (constant) out.of = sample_weights(*t.sample_weights, set, g);
    if (constant) return out;
    out.eta = t.group_dro.eta;
    out.cells = loss_cells(set, g, t.group_dro.by_class);
    FP_REQUIRE(out.cells.names.size() >= 2, Exit::data, "--group-dro: fewer than two groups of ", attributes[0],
               " have training images");
    return out;
}

}  // namespace

std::vector<PenaltyAttribute> penalty_attributes(const Dataset& set,
                                                 const std::map<std::string, double>& weights,
                                                 const std::optional<uint64_t>& placebo) {
    std::vector<PenaltyAttribute> out;
    for (const auto& [name, weight] : weights) {
        if (weight == 0) continue;
        const Grouping g = groups_seen(set, name, placebo);
        require_comparable(g);
        out.push_back({name, {g.of.begin(), g.of.end()}, weight});
    }
    return out;
}

std::vector<std::string> group_readers(const TrainingSettings& t) {
    std::vector<std::string> out;
    if (t.sampler->by_group) out.push_back("sampler");
    if (!(t.sample_weights == SampleWeighting::none)) out.push_back("sample weights");
    if (t.group_dro.eta > 0) out.push_back("GroupDRO");
    if (t.snnl.weight > 0) out.push_back("penalty");
    return out;
}

std::optional<PlaceboNote> placebo_note(const TrainingSettings& t) {
    if (!t.placebo || group_readers(t).empty()) return std::nullopt;
    return PlaceboNote{*t.placebo, group_readers(t)};
}

FitOptions fit_options(const TrainingSettings& t,
                       const std::vector<std::string>& weighted,
                       int batch_size,
                       uint64_t seed,
                       const Dataset& set) {
    FP_REQUIRE(t.class_weights == "none" || t.class_weights == "balanced", Exit::usage, "--class-weights `",
               t.class_weights, "` is neither none nor balanced");
    FitOptions f{.settings = t,
                 .batch_size = batch_size,
                 .seed = seed,
                 .attributes = plain_names(weighted),
                 .trainer = {.optimizer = t.optimizer,
                             .smoothing = t.label_smoothing,
                             .accumulate = t.accumulate,
                             .ema = t.ema,
                             .seed = seed,
                             .sync_norms = t.sync_norms},
                 .augment = parse_augment(t.augment)};
    if (t.class_weights == "balanced") f.trainer.class_weights = balanced_class_weights(set);
    f.trainer.weights = loss_weights(t, f.attributes, set);
    if (t.snnl.weight <= 0) return f;
    f.trainer.penalty = snnl_penalty(t.snnl, penalty_attributes(set, weighted_attributes(weighted), t.placebo));
    return f;
}

}  // namespace fp
