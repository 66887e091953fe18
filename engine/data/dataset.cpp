#include "engine/data/dataset.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <set>

#include "engine/data/sources/sources.h"
#include "engine/data/split.h"
#include "engine/io/columns.h"
#include "engine/io/files.h"
#include "engine/io/hash.h"
#include "kernels/error.h"

namespace fp {
namespace {

// Sorted and distinct; as numbers if every one is a whole number, so that 10 stands after 9.
std::vector<std::string> sorted_classes(const Listing& listing) {
    std::set<std::string> distinct;
    for (const auto& row : listing.table.rows) distinct.insert(row[size_t(listing.label)]);
    std::vector<std::string> classes(distinct.begin(), distinct.end());
    const auto number = [](const std::string& word) -> std::optional<int64_t> {
        int64_t value;
        const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
        if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
        return value;
    };
    if (std::all_of(classes.begin(), classes.end(), [&](const auto& c) { return number(c); }))
        std::stable_sort(classes.begin(), classes.end(),
                         [&](const auto& a, const auto& b) { return *number(a) < *number(b); });
    return classes;
}

bool stays_below_root(const std::filesystem::path& path) {
    return !path.is_absolute() && std::find(path.begin(), path.end(), "..") == path.end();
}

std::string where(const Table& table, size_t row) {
    return table.lines[row] > 0 ? text(table.name, ":", table.lines[row], ": ")
                                : text(table.name, ": ");
}

// The value of the column in the row, empty where there is no such column or the value is not known.
std::string known(const std::vector<std::string>& row, int column) {
    if (column < 0 || is_unknown(row[size_t(column)])) return "";
    return row[size_t(column)];
}

Dataset dataset_of(const Listing& listing, const std::string& spec, const DatasetOptions& options) {
    const Table& table = listing.table;
    Dataset data{.name = spec,
                 .root = listing.root,
                 .classes = options.classes,
                 .columns = {},
                 .samples = {},
                 .notes = listing.notes,
                 .split_was_drawn = false,
                 .synth = std::nullopt};
    if (data.classes.empty()) data.classes = listing.classes;
    if (data.classes.empty()) data.classes = sorted_classes(listing);
    std::map<std::string_view, int> label_of;
    for (size_t c = 0; c < data.classes.size(); ++c) label_of[data.classes[c]] = int(c);

    std::vector<size_t> attributes;
    for (size_t c = 0; c < table.header.size(); ++c) {
        if (int(c) == listing.image || int(c) == listing.label || int(c) == listing.split) continue;
        attributes.push_back(c);
        data.columns.push_back(table.header[c]);
    }
    const int lesion = find_column(table.header, "lesion_id");
    const int patient = find_column(table.header, "patient_id");
    std::vector<std::pair<std::string, size_t>> needed;  // columns whose unknown rows are left out
    for (const std::string& wanted : options.exclude_unknown)
        needed.emplace_back(wanted, size_t(need_column(table, wanted)));

    std::map<std::string, int64_t> unknown;
    int64_t without_split = 0;
    for (size_t r = 0; r < table.rows.size(); ++r) {
        const auto& row = table.rows[r];
        const std::string& label = row[size_t(listing.label)];
        FP_REQUIRE(!label.empty(), Exit::data, where(table, r), "no label");
        const auto found = label_of.find(label);
        FP_REQUIRE(found != label_of.end(), Exit::data, where(table, r), "label '", label,
                   "' is none of the ", data.classes.size(), " classes ", list(data.classes));
        Sample sample{.image = row[size_t(listing.image)] + listing.extension,
                      .label = found->second,
                      .split = Split::train,
                      .unit = known(row, lesion),
                      .attributes = {}};
        FP_REQUIRE(!row[size_t(listing.image)].empty(), Exit::data, where(table, r), "no image");
        FP_REQUIRE(options.allow_absolute || stays_below_root(sample.image), Exit::data,
                   where(table, r), "image '", sample.image,
                   "' leaves the folder of the images (--allow-absolute permits it)");
        if (listing.split >= 0) {
            const std::string& word = row[size_t(listing.split)];
            if (word.empty()) {
                ++without_split;
                continue;
            }
            const std::optional<Split> split = parse_split(word);
            FP_REQUIRE(split, Exit::data, where(table, r), "split '", word,
                       "' is none of train, val, test");
            sample.split = *split;
        }
        const auto missing = std::find_if(needed.begin(), needed.end(), [&](const auto& need) {
            return is_unknown(row[need.second]);
        });
        if (missing != needed.end()) {
            ++unknown[missing->first];
            continue;
        }
        if (sample.unit.empty()) sample.unit = known(row, patient);
        if (sample.unit.empty()) sample.unit = sample.image;
        for (const size_t c : attributes) sample.attributes.push_back(row[c]);
        data.samples.push_back(std::move(sample));
    }
    if (without_split > 0)
        data.notes.push_back(text("left out ", without_split, " of ", table.rows.size(),
                                  " images without a word under ",
                                  table.header[size_t(listing.split)]));
    for (const auto& [column, count] : unknown)
        data.notes.push_back(text("left out ", count, " of ", table.rows.size(), " images whose ",
                                  column, " is unknown"));
    FP_REQUIRE(!data.samples.empty(), Exit::data, table.name, ": no images are left");

    const auto empty = [&](Split split) {
        return std::none_of(data.samples.begin(), data.samples.end(),
                            [&](const Sample& s) { return s.split == split; });
    };
    if (listing.split < 0) {
        draw_split(data, options.split_seed);
        data.notes.push_back(text("drew train, val and test 60/20/20, seed ", options.split_seed));
    } else if (empty(Split::val) && !empty(Split::train)) {
        draw_validation(data, options.split_seed);
        data.notes.push_back(text("drew val from a fifth of train, seed ", options.split_seed));
    }
    return data;
}

}  // namespace

std::string_view name(Split split) {
    return split == Split::train ? "train" : split == Split::val ? "val" : "test";
}

std::optional<Split> parse_split(std::string_view word) {
    std::string plain(word);
    for (char& c : plain)
        if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
    if (plain == "train" || plain == "training") return Split::train;
    if (plain == "val" || plain == "valid" || plain == "validation" || plain == "dev")
        return Split::val;
    if (plain == "test" || plain == "testing") return Split::test;
    return std::nullopt;
}

Dataset open_dataset(const std::string& spec, const DatasetOptions& options) {
    const DataSpec parsed = parse_data_spec(spec);
    if (parsed.kind == "synth") return open_synth(spec, options);
    if (parsed.kind == "csv") return dataset_of(list_csv(parsed), spec, options);
    if (parsed.kind == "isic2019") return dataset_of(list_isic2019(parsed), spec, options);
    if (parsed.kind == "fitzpatrick17k")
        return dataset_of(list_fitzpatrick17k(parsed, options), spec, options);
    if (parsed.kind == "folder") return dataset_of(list_folder(parsed), spec, options);
    fail_with(Exit::usage, "--data ", spec, ": no kind '", parsed.kind,
              "', one of synth, csv, isic2019, fitzpatrick17k, folder");
}

std::vector<int64_t> members(const Dataset& data, Split split) {
    std::vector<int64_t> found;
    for (size_t i = 0; i < data.samples.size(); ++i)
        if (data.samples[i].split == split) found.push_back(int64_t(i));
    return found;
}

std::string split_hash(const Dataset& data) {
    Xxh3 hash;
    const auto add = [&](std::string_view word) {  // a NUL keeps "a","bc" from being "ab","c"
        hash.add(as_bytes(word));
        hash.add(as_bytes(std::string_view("", 1)));
    };
    for (const Sample& sample : data.samples) {
        add(sample.image);
        add(data.classes[size_t(sample.label)]);
        add(name(sample.split));
    }
    return hash.hex();
}

}  // namespace fp
