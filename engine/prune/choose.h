// How many channels are removed, and which.
#pragma once

#include <concepts>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

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
    // Kept channels of a set that is cut are a multiple of this. Empty: as Ties has it.
    std::optional<int> round_to = {};
};

// How sets are rounded without round_to. A device computes channels in blocks, so that a number of channels that fills
// none costs as much as a larger one that does. A set's number is changed to one that fills its blocks if every channel
// that is kept or removed for it is tied: a kept one with the lowest score that was to stay, a removed one with the
// highest that was to go, no further apart than `noise`. Amounts that name a number of channels, and sets without such a
// number near, stay as they are.
struct Ties {
    std::vector<int> filled = {};  // channels that the device computes, by the number that is left; empty: no rounding
    std::map<std::string, double> noise =
        {};  // of a channel's score, by set; not there: 0, equal scores alone are tied
};

// What is left of a network of this spec, as a share of the dense one: macs, parameters, measured latency.
using Cost = std::function<double(Amount::Kind, const ModelSpec&)>;

struct Choice {
    Removal removal = {};
    int kept = 0, removed = 0;  // channels that Ties kept, and that it removed beyond the amount's
};

// Removes the lowest scores over all sets, at a tie the lower index; `round_to` then changes the number of each set to
// the nearest multiple (at least one multiple is left), or `ties` among channels that are tied. Exit::data for an amount
// that cannot be reached, with the range that can, and where nothing is left to remove.
Choice choose(const ModelSpec&,
              const std::vector<ChannelSet>&,
              const SetScores&,
              const ChooseOptions&,
              const Cost&,
              const Ties& ties = {});

}  // namespace fp
