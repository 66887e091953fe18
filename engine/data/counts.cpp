#include "engine/data/counts.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>

#include "engine/data/split.h"
#include "engine/io/files.h"

namespace fp {
namespace {

constexpr size_t kLine = 80, kName = 28, kCell = 13;

// A table, with a last row that sums the others; of many columns in blocks below each other, of 80 columns of text.
std::string rows(const std::string& corner,
                 std::vector<std::string> names,
                 const std::vector<std::string>& columns,
                 std::vector<std::vector<int64_t>> count) {
    std::vector<int64_t> all(columns.size(), 0);
    for (const auto& row : count) std::transform(row.begin(), row.end(), all.begin(), all.begin(), std::plus());
    names.push_back("all");
    count.push_back(all);
    size_t cell = kCell;
    if (kName + columns.size() * kCell > kLine) {  // then as narrow as the words are
        cell = fmt::formatted_size("{}", *std::ranges::max_element(all)) + 1;
        for (const std::string& column : columns) cell = std::max(cell, std::min(printable(column).size() + 1, kCell));
    }
    const size_t per_block = (kLine - kName) / cell;
    std::string out;
    for (size_t from = 0; from < columns.size(); from += per_block) {
        const size_t to = std::min(from + per_block, columns.size());
        out += fmt::format("{:<{}.{}}", printable(corner), kName, kName);
        for (size_t c = from; c < to; ++c) out += fmt::format("{:>{}.{}}", printable(columns[c]), cell, cell - 1);
        for (size_t r = 0; r < names.size(); ++r) {
            out += fmt::format("\n{:<{}.{}}", printable(names[r]), kName, kName);
            for (size_t c = from; c < to; ++c) out += fmt::format("{:>{}}", count[r][c], cell);
        }
        out += "\n";
    }
    return out;
}

}  // namespace

std::vector<std::vector<int64_t>> class_by_group(const Dataset& data, Split split, const Grouping& grouping) {
    std::vector<std::vector<int64_t>> count(data.classes.size(), std::vector<int64_t>(grouping.groups.size() + 1, 0));
    for (const int64_t i : members(data, split)) {
        const int group = grouping.of[size_t(i)];
        ++count[size_t(data.samples[size_t(i)].label)][group < 0 ? grouping.groups.size() : size_t(group)];
    }
    return count;
}

std::vector<std::string> group_columns(const Grouping& grouping) {
    std::vector<std::string> columns = grouping.groups;
    columns.push_back("unknown");
    return columns;
}

int64_t count_units(const Dataset& data, std::optional<Split> split) {
    std::set<std::string_view> distinct;
    for (const Sample& sample : data.samples)
        if (!split || sample.split == *split) distinct.insert(sample.unit);
    return int64_t(distinct.size());
}

std::string counts_text(const Dataset& data, const std::vector<Grouping>& groupings) {
    std::string out = fmt::format("{} images of {} units (lesions, patients or single images)\n\n", data.samples.size(),
                                  count_units(data));
    std::vector<std::string> columns{"train", "val", "test"};
    if (!members(data, Split::other).empty()) columns.push_back("other");
    columns.push_back("all");
    std::vector<std::vector<int64_t>> by_split(data.classes.size(), std::vector<int64_t>(columns.size(), 0));
    for (const Sample& sample : data.samples)
        for (const size_t column : {size_t(sample.split), columns.size() - 1}) ++by_split[size_t(sample.label)][column];
    out += rows("class", data.classes, columns, by_split);
    for (const Split split : {Split::val, Split::test}) {
        const int64_t shared = shared_images(data, split, Split::train);
        if (shared > 0)
            out += fmt::format("{} of {} {} images are of a lesion or patient that is in train too\n", shared,
                               members(data, split).size(), name(split));
    }
    for (const Grouping& grouping : groupings)
        for (const Split split : kSplits)
            out += "\n" + rows(fmt::format("{} in {}", grouping.name, name(split)), data.classes,
                               group_columns(grouping), class_by_group(data, split, grouping));
    return out;
}

}  // namespace fp
