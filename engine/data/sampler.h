// The order in which an epoch visits the training samples.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace fp {

// The balanced ones draw as many samples as there are, with replacement, each with weight 1 / (size of its
// cell), where a cell is a class, a group, or a class in a group: every cell that is not empty is drawn equally
// often in the long run. Samples of an unknown group (-1) keep the share that they have.
struct Sampling {
    std::string_view name, says;
    bool permuted = false, by_class = false, by_group = false;  // all false: in order

    static const Sampling order, shuffled, class_balanced, group_balanced, class_group_balanced;
    static constexpr std::string_view kind = "sampler";
    static std::span<const Sampling* const> all();  // those of --sampler: not `order`

    bool operator==(const Sampling& other) const { return name == other.name; }
};

inline constexpr Sampling Sampling::order{.name = "order", .says = "as they stand"};
inline constexpr Sampling Sampling::shuffled{.name = "shuffled", .says = "a permutation", .permuted = true};
inline constexpr Sampling Sampling::class_balanced{.name = "class", .says = "classes equally often", .by_class = true};
inline constexpr Sampling Sampling::group_balanced{.name = "group", .says = "groups equally often", .by_group = true};
inline constexpr Sampling Sampling::class_group_balanced{
    .name = "class-group", .says = "every group of every class equally often", .by_class = true, .by_group = true};

// Positions 0 .. n-1 for n labels, keyed by (seed, epoch): the same arguments give the same order anywhere.
// `groups` may be empty unless the sampling is by group.
std::vector<int64_t> epoch_order(
    const Sampling&, std::span<const int> labels, std::span<const int> groups, uint64_t seed, uint64_t epoch);

}  // namespace fp
