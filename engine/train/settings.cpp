#include "engine/train/settings.h"

#include <fmt/format.h>

#include <cmath>

#include "engine/data/dataset.h"
#include "engine/data/augment/augment.h"
#include "engine/fairness/grouping.h"

namespace fp {

FitOptions fit_options(const TrainingSettings& t,
                       const std::vector<std::string>& weighted,
                       int batch_size,
                       uint64_t seed,
                       const Dataset& set) {
    FP_REQUIRE(t.class_weights == "none" || t.class_weights == "balanced", Exit::usage, "--class-weights `",
               t.class_weights, "` is neither none nor balanced");
    const std::vector<std::string> names = plain_names(weighted);
    FitOptions f{.epochs = t.epochs,
                 .batch_size = batch_size,
                 .workers = t.workers,
                 .skip_bad = t.skip_bad,
                 .seed = seed,
                 .sampling = *t.sampler,
                 .sampling_attribute = names.empty() ? "" : names[0],
                 .schedule = t.schedule,
                 .trainer = {.optimizer = t.optimizer,
                             .smoothing = t.label_smoothing,
                             .accumulate = t.accumulate,
                             .ema = t.ema,
                             .seed = seed},
                 .augment = parse_augment(t.augment),
                 .attributes = names,
                 .select = t.select,
                 .limit_batches = t.limit_batches};
    if (t.class_weights == "balanced") f.trainer.class_weights = balanced_class_weights(set);
    if (t.snnl.weight > 0) {
        std::vector<PenaltyAttribute> attributes;
        for (const auto& [name, weight] : weighted_attributes(weighted)) {
            if (weight == 0) continue;
            const Grouping g = group_by(set, name);
            require_comparable(g);
            attributes.push_back({name, {g.of.begin(), g.of.end()}, weight});
        }
        f.trainer.penalty = snnl_penalty(t.snnl, attributes);
    }
    return f;
}

std::string epoch_line(const EpochResult& r, int epochs) {
    const auto number = [](double v) { return std::isfinite(v) ? v : 0.0; };
    return fmt::format("epoch {:>3}/{}  loss {:.4f}  val: loss {:.4f} acc {:.4f} bal {:.4f} f1 {:.4f}{}", r.epoch,
                       epochs, number(r.train.loss), number(r.val.loss), number(r.val.metric("accuracy")),
                       number(r.val.metric("balanced_accuracy")), number(r.val.metric("macro_f1")), r.best ? " *" : "");
}

}  // namespace fp
