// The dense model and the images that all runs of a search share.
#pragma once

#include <functional>
#include <optional>

#include "engine/fairness/evaluate.h"
#include "engine/prune/settings.h"
#include "engine/run/checkpoint.h"

namespace fp {

class Baseline {
public:
    // Keeps references to the model and the data.
    Baseline(const LoadedModel&, const ImageData&, const PruneSettings&);

    const LoadedModel& model;
    const ImageData& data;
    const std::string hash;                     // weights_hash of the dense model
    const std::vector<std::string> attributes;  // names without weights
    const PredictOptions predict_options;

    const Kernels& kernels() const { return model.network->kernels(); }
    int image_size() const { return model.card.preprocessing.image_size; }

    // A network that stems from the dense model, on one split. What `progress` throws ends it.
    Predictions predict_on(Split,
                           const Network&,
                           const std::function<void(int64_t done, int64_t all)>& progress = {}) const;
    // The dense model on validation; computed at the first call.
    const Summary& val() const;

private:
    mutable std::optional<Summary> val_;
};

}  // namespace fp
