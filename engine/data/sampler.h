// In which order an epoch visits the training samples.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace fp {

// order: as they stand. shuffled: a permutation. The balanced ones draw as many samples as there are, with
// replacement, each with weight 1 / (size of its cell), where a cell is a class, a group, or a class in a
// group: every cell that is not empty is drawn equally often in the long run. Samples of an unknown group
// (-1) keep the share that they have.
enum class Sampling { order, shuffled, class_balanced, group_balanced, class_group_balanced };

Sampling parse_sampling(
    std::string_view name);  // order, shuffled, class, group, class-group; Exit::usage
std::string_view name(Sampling);

// Positions 0 .. n-1 for n labels, keyed by (seed, epoch): the same arguments give the same order anywhere.
// `groups` may be empty unless the sampling is by group.
std::vector<int64_t> epoch_order(Sampling,
                                 std::span<const int> labels,
                                 std::span<const int> groups,
                                 uint64_t seed,
                                 uint64_t epoch);

// count[class * (groups + 1) + group]: how often `order` visits each, unknown in the last column.
std::vector<int64_t> count_visits(std::span<const int64_t> order,
                                  std::span<const int> labels,
                                  std::span<const int> groups,
                                  int class_count,
                                  int group_count);

}  // namespace fp
