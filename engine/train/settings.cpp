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

}  // namespace

std::vector<PenaltyAttribute> penalty_attributes(const Dataset& set, const std::map<std::string, double>& weights) {
    std::vector<PenaltyAttribute> out;
    for (const auto& [name, weight] : weights) {
        if (weight == 0) continue;
        const Grouping g = group_by(set, name);
        require_comparable(g);
        out.push_back({name, {g.of.begin(), g.of.end()}, weight});
    }
    return out;
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
                             .seed = seed},
                 .augment = parse_augment(t.augment)};
    if (t.class_weights == "balanced") f.trainer.class_weights = balanced_class_weights(set);
    if (t.snnl.weight <= 0) return f;
    f.trainer.penalty = snnl_penalty(t.snnl, penalty_attributes(set, weighted_attributes(weighted)));
    return f;
}

}  // namespace fp
