#include "engine/data/sampler.h"

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <utility>

#include "kernels/error.h"
#include "kernels/random.h"

namespace fp {
namespace {

constexpr std::array<std::pair<std::string_view, Sampling>, 5> kNames = {{
    {"order", Sampling::order},
    {"shuffled", Sampling::shuffled},
    {"class", Sampling::class_balanced},
    {"group", Sampling::group_balanced},
    {"class-group", Sampling::class_group_balanced},
}};

constexpr uint64_t kShuffle = 0x5348, kDraw = 0x4452;  // the streams of random numbers

std::vector<int64_t> shuffled(int64_t n, uint64_t key) {
    std::vector<int64_t> order(static_cast<size_t>(n));
    std::iota(order.begin(), order.end(), 0);
    for (int64_t i = n - 1; i > 0; --i)
        std::swap(order[size_t(i)], order[uniform_below(uint64_t(i) + 1, key, uint64_t(i))]);
    return order;
}

}  // namespace

Sampling parse_sampling(std::string_view wanted) {
    for (const auto& [name, sampling] : kNames)
        if (name == wanted) return sampling;
    fail_with(Exit::usage, "sampler '", wanted,
              "': there are order, shuffled, class, group and class-group");
}

std::string_view name(Sampling wanted) {
    for (const auto& [name, sampling] : kNames)
        if (sampling == wanted) return name;
    fail("a sampling without a name");
}

std::vector<int64_t> epoch_order(Sampling how,
                                 std::span<const int> labels,
                                 std::span<const int> groups,
                                 uint64_t seed,
                                 uint64_t epoch) {
    const int64_t n = int64_t(labels.size());
    if (how == Sampling::order) {
        std::vector<int64_t> order(labels.size());
        std::iota(order.begin(), order.end(), 0);
        return order;
    }
    if (how == Sampling::shuffled) return shuffled(n, key_of(seed, epoch, kShuffle));

    const bool by_class = how != Sampling::group_balanced;
    const bool by_group = how != Sampling::class_balanced;
    FP_CHECK(!by_group || groups.size() == labels.size(), "sampler: ", labels.size(), " labels, ",
             groups.size(), " groups");
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
    std::vector<int64_t> order(labels.size());
    for (int64_t i = 0; i < n; ++i) {
        const auto draw = [&](uint64_t bound, uint64_t stream) {
            return uniform_below(bound, key, uint64_t(i), stream);
        };
        const bool lost = draw(uint64_t(n), 0) < unknown.size();
        const auto& from = lost ? unknown : *members[draw(members.size(), 1)];
        order[size_t(i)] = from[draw(from.size(), 2)];
    }
    return order;
}

std::vector<int64_t> count_visits(std::span<const int64_t> order,
                                  std::span<const int> labels,
                                  std::span<const int> groups,
                                  int class_count,
                                  int group_count) {
    const size_t columns = size_t(group_count) + 1;
    std::vector<int64_t> count(size_t(class_count) * columns, 0);
    for (const int64_t i : order) {
        const int group = groups.empty() ? -1 : groups[size_t(i)];
        const size_t column = group < 0 ? columns - 1 : size_t(group);
        ++count[size_t(labels[size_t(i)]) * columns + column];
    }
    return count;
}

}  // namespace fp
