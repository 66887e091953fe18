#include "engine/data/sampler.h"

#include <array>
#include <map>
#include <numeric>
#include <utility>

#include "kernels/error.h"
#include "kernels/random.h"

namespace fp {

constexpr uint64_t kShuffle = 0x5348, kDraw = 0x4452;  // the streams of random numbers

std::span<const Sampling* const> Sampling::all() {
    static constexpr std::array kAll{&shuffled, &class_balanced, &group_balanced, &class_group_balanced};
    return kAll;
}

std::vector<int64_t> epoch_order(
    const Sampling& how, std::span<const int> labels, std::span<const int> groups, uint64_t seed, uint64_t epoch) {
    const int64_t n = int64_t(labels.size());
    const bool by_class = how.by_class, by_group = how.by_group;
    std::vector<int64_t> order(labels.size());
    std::iota(order.begin(), order.end(), 0);
    if (how.permuted)
        for (int64_t i = n - 1; i > 0; --i)
            std::swap(order[size_t(i)],
                      order[uniform_below(uint64_t(i) + 1, key_of(seed, epoch, kShuffle), uint64_t(i))]);
    if (!by_class && !by_group) return order;
    FP_CHECK(!by_group || groups.size() == labels.size(), "sampler: ", labels.size(), " labels, ", groups.size(),
             " groups");
    std::map<std::pair<int, int>, std::vector<int64_t>> cells;
    std::vector<int64_t> unknown;
    for (int64_t i = 0; i < n; ++i) {
        const int group = by_group ? groups[size_t(i)] : 0;
        if (group < 0)
            unknown.push_back(i);
        else
            cells[{by_class ? labels[size_t(i)] : 0, group}].push_back(i);
    }

    // The first `unknown` of n places belong to the samples of unknown group, the rest to the cells in equal
    // parts; a draw is a place, then a member.
    std::vector<const std::vector<int64_t>*> members;
    for (const auto& [cell, inside] : cells) members.push_back(&inside);
    const uint64_t key = key_of(seed, epoch, kDraw);
    for (int64_t i = 0; i < n; ++i) {
        const auto draw = [&](uint64_t bound, uint64_t stream) {
            return uniform_below(bound, key, uint64_t(i), stream);
        };
        const bool is_unknown = draw(uint64_t(n), 0) < unknown.size();
        const auto& from = is_unknown ? unknown : *members[draw(members.size(), 1)];
        order[size_t(i)] = from[draw(from.size(), 2)];
    }
    return order;
}

}  // namespace fp
