// Placebo groups: labels that say nothing of the person. What reads groups to learn or to score (sampler, loss
// weights, penalty, criteria) can be run with these instead; what judges keeps the true ones. An effect that a placebo
// has too does not come from the groups.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/data/dataset.h"

namespace fp {

// The labels permuted among the units with the same number of known samples (label >= 0), within a stratum where strata
// are given: the counts of a stratum stay as they are. A unit that is alone with its number of samples keeps its
// labels. Empty units: each sample its own. Keyed by `key`.
std::vector<int32_t> permuted_labels(const std::vector<int32_t>& labels,
                                     const std::vector<int32_t>& strata,
                                     const std::vector<int32_t>& units,
                                     uint64_t key);

// The groups that learning and scoring see: group_by() of the attribute, and with a placebo seed those groups permuted
// among lesions (Sample::unit) within class and split. Every class keeps its groups' sizes in every split.
Grouping groups_seen(const Dataset&, const std::string& spec, const std::optional<uint64_t>& placebo);

// What a run with a placebo says of itself: its seed, and what saw these groups ("scores", "sampler").
struct PlaceboNote {
    uint64_t seed = 0;
    std::vector<std::string> seen_by = {};
};
// "placebo (seed 7): scores, sampler saw groups permuted among lesions within class; figures are by the true groups".
std::string to_text(const PlaceboNote&);
// The share of the training images that keep their group, by attribute: "sex 52 %, age:60 70 %".
std::string shares_kept(const Dataset&, const std::vector<std::string>& specs, uint64_t seed);

}  // namespace fp
