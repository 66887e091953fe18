// The settings of learned masks (learned_masks.h).
#pragma once

#include "engine/data/sampler.h"
#include "engine/io/one_of.h"

namespace fp {

// What sparsity counts.
struct GateCost {
    std::string_view name, says;

    static const GateCost channels, macs;
    static constexpr std::string_view kind = "cost";
    static std::span<const GateCost* const> all();
    bool operator==(const GateCost& other) const { return name == other.name; }
};
inline constexpr GateCost GateCost::channels{.name = "channels", .says = "every channel alike"};
inline constexpr GateCost GateCost::macs{.name = "macs", .says = "the multiply-adds that its removal saves"};

struct MaskOptions {
    int epochs = 4;       // over the calibration images
    double rate = 0.1;    // step size of Adam
    double sparsity = 1;  // weight of the share of the cost that is kept
    OneOf<GateCost> cost = GateCost::channels;
    double snnl_weight = 0;                        // of the penalty; 0: none
    OneOf<Sampling> sampler = Sampling::shuffled;  // groups: those of the attributes, crossed
    std::string augment = "flips";                 // as --augment

    bool reads_groups() const { return snnl_weight > 0 || sampler->by_group; }
};

}  // namespace fp
