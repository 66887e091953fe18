// How many channels are removed, and which.
#pragma once

#include <concepts>
#include <functional>

#include "engine/prune/criteria/criteria.h"
#include "engine/prune/cut.h"

namespace fp {

// --amount: "5" channels, "10%" of the channels of the chosen sets, "macs:60%", "params:60%" or
// "latency:60%": what is left is at most this share of the whole network's.
struct Amount {
    enum class Kind { channels, share, macs, params, latency } kind = Kind::channels;
    double value = 5;  // channels, or a share of 1

    Amount() = default;
    template <std::convertible_to<std::string> Text>
    Amount(const Text& text) : Amount(parse(text)) {}  // Exit::usage

private:
    static Amount parse(const std::string&);
};
std::string to_string(const Amount&);

struct ChooseOptions {
    Amount amount = {};
    int min_channels = 1;  // of every set, afterwards
    int round_to = 1;      // kept channels of a set that is cut are a multiple of this
};

// What is left of a network of this spec, as a share of the dense one: macs, parameters, measured latency.
using Cost = std::function<double(Amount::Kind, const ModelSpec&)>;

// Removes the lowest scores over all sets, at a tie the lower index; `round_to` then changes the number of each set to
// the nearest multiple (at least one multiple is left). Exit::data for an amount that cannot be reached, with the range
// that can, and where nothing is left to remove.
Removal choose(const ModelSpec&, const std::vector<ChannelSet>&, const SetScores&, const ChooseOptions&, const Cost&);

}  // namespace fp
