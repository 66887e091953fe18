#include "engine/data/counts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "engine/data/split.h"

namespace fp {
namespace {

constexpr std::array<Split, 3> kSplits = {Split::train, Split::val, Split::test};

// The characters of a UTF-8 name that fit, control characters as ?, filled up with spaces.
std::string cell(std::string_view name, size_t width, bool left) {
    std::string out;
    size_t shown = 0;
    for (const char c : name) {
        const bool starts = (uint8_t(c) & 0xC0) != 0x80;
        if (starts && shown == width) break;
        shown += starts;
        out += uint8_t(c) < 0x20 || c == 0x7F ? '?' : c;
    }
    const std::string space(width - shown, ' ');
    return left ? out + space : space + out;
}

std::string rows(const std::string& corner,
                 const std::vector<std::string>& names,
                 const std::vector<std::string>& columns,
                 const std::vector<std::vector<int64_t>>& count) {
    constexpr size_t kName = 28, kColumn = 12;
    std::string out = cell(corner, kName, true);
    for (const std::string& column : columns) out += " " + cell(column, kColumn, false);
    out += "\n";
    const auto line = [&](const std::string& name, const std::vector<int64_t>& numbers) {
        out += cell(name, kName, true);
        for (const int64_t n : numbers) out += fmt::format(" {:>{}}", n, kColumn);
        out += "\n";
    };
    std::vector<int64_t> all(columns.size(), 0);
    for (size_t r = 0; r < names.size(); ++r) {
        line(names[r], count[r]);
        for (size_t c = 0; c < all.size(); ++c) all[c] += count[r][c];
    }
    line("all", all);
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

int64_t count_units(const Dataset& data, Split split) {
    std::set<std::string_view> distinct;
    for (const int64_t i : members(data, split)) distinct.insert(data.samples[size_t(i)].unit);
    return int64_t(distinct.size());
}

int64_t count_units(const Dataset& data) {
    std::set<std::string_view> distinct;
    for (const Sample& sample : data.samples) distinct.insert(sample.unit);
    return int64_t(distinct.size());
}

std::string counts_text(const Dataset& data, const std::vector<Grouping>& groupings) {
    std::string out = fmt::format("{} images of {} units (lesions, patients or single images)\n\n", data.samples.size(),
                                  count_units(data));
    std::vector<std::vector<int64_t>> by_split(data.classes.size(), std::vector<int64_t>(4, 0));
    for (const Sample& sample : data.samples) {
        ++by_split[size_t(sample.label)][size_t(sample.split)];
        ++by_split[size_t(sample.label)][3];
    }
    out += rows("class", data.classes, {"train", "val", "test", "all"}, by_split);
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
