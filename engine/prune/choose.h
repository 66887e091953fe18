// How many channels go, and which.
#pragma once

#include <functional>

#include "engine/prune/criteria/criteria.h"
#include "engine/prune/cut.h"

namespace fp {

// --amount: "5" channels, "10%" of the channels of the chosen sets, "macs:60%", "params:60%" or
// "latency:60%": what is left is at most this share of the whole network's.
struct Amount {
    enum class Kind { channels, share, macs, params, latency } kind = Kind::channels;
    double value = 0;  // channels, or a share of 1
};
Amount parse_amount(const std::string&);  // Exit::usage
std::string to_string(const Amount&);

struct ChooseOptions {
    Amount amount;
    int min_channels = 1;  // of every set, afterwards
    int round_to = 1;      // kept channels of a set that is cut are a multiple of this
};

// What is left of a network of this spec, as a share of the dense one: macs, parameters, measured latency.
using Cost = std::function<double(Amount::Kind, const ModelSpec&)>;

// The lowest scores over all sets go, the lower index at a tie; `round_to` takes as many more or fewer of a
// set as gives the nearest multiple (at least one multiple is left). An amount that cannot be reached is an
// Error (Exit::data) with the reachable range; nothing to remove is one too.
Removal choose(const ModelSpec&,
               const std::vector<ChannelSet>&,
               const SetScores&,
               const ChooseOptions&,
               const Cost&);

}  // namespace fp
