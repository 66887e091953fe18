// A network: its architecture, its spec, its parameters, and the function from images to logits.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "engine/core/params.h"
#include "engine/core/spec.h"
#include "engine/core/tape.h"

namespace fp {

using Forward = std::function<Var(Tape&, Var images)>;  // (n, 3, h, w) -> logits (n, classes, 1, 1)

// A family of networks. One constant of this type is all that the engine knows of a family; models/ has them.
struct Architecture {
    // Another library's parameter names: those that start with `theirs` start with `ours` here.
    struct Alias {
        std::string_view theirs, ours;
    };
    std::span<const std::string_view> names;  // of the members: ModelSpec::arch
    std::span<const std::string_view> stems;  // ModelSpec::stem
    std::string_view head;                    // the layer that makes the logits
    std::span<const Alias> aliases;
    std::string_view torch = {};                      // the family as a module of PyTorch (engine/run/torch_module.h)
    Forward (*build)(const ModelSpec&, ParamStore&);  // declares the parameters, without memory
    void (*initialize)(ParamStore&, uint64_t seed);   // weights to start training from
};
using Architectures = std::vector<const Architecture*>;

// Exit::usage for a name that none of them has.
const Architecture& find_architecture(const Architectures&, std::string_view name);

struct Network {
    // The parameters are zero. Exit::usage for a stem that the architecture does not have.
    Network(const Architecture&, const ModelSpec&, const Kernels&);

    const Architecture& architecture;
    ModelSpec spec;
    ParamStore params;
    int64_t batches_seen = 0;  // in training: torchvision's num_batches_tracked
    Forward forward;

    const Kernels& kernels() const { return params.kernels(); }
    void initialize(uint64_t seed) { architecture.initialize(params, seed); }
};

// A second network with the same values.
std::unique_ptr<Network> copy_of(const Network&);

}  // namespace fp
