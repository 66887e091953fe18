// A network: its spec, its parameters, and the function from images to logits.
#pragma once

#include <functional>
#include <memory>

#include "engine/core/params.h"
#include "engine/core/spec.h"
#include "engine/core/tape.h"

namespace fp {

struct Network {
    Network(ModelSpec s, const Kernels& k) : spec(std::move(s)), params(k) {}

    ModelSpec spec;
    ParamStore params;
    int64_t batches_seen = 0;                      // in training: torchvision's num_batches_tracked
    std::function<Var(Tape&, Var image)> forward;  // (n, 3, h, w) -> logits (n, classes, 1, 1)

    const Kernels& kernels() const { return params.kernels(); }
};

// Models are built above the engine (models/models.h): what rebuilds a network is given one of these.
using BuildNetwork = std::function<std::unique_ptr<Network>(const ModelSpec&, const Kernels&)>;

}  // namespace fp
