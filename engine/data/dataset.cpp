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
    return table.lines[row] > 0 ? text(table.name, ":", table.lines[row], ": ") : text(table.name, ": ");
}

// The value of the column in the row, empty where there is no such column or the value is not known.
std::string known(const std::vector<std::string>& row, int column) {
    if (column < 0 || is_unknown(row[size_t(column)])) return "";
    return row[size_t(column)];
}

std::vector<std::string> classes_of(const Listing& listing, const DatasetOptions& options) {
    if (!options.classes.empty()) return options.classes;
    return listing.classes.empty() ? sorted_classes(listing) : listing.classes;
}

// Columns of a table, by index.
struct Columns {
    std::vector<size_t> attributes;
    std::vector<std::pair<std::string, size_t>> needed;  // rows that are unknown there are left out
    int lesion, patient;

    Columns(const Listing& listing, const DatasetOptions& options)
        : lesion(find_column(listing.table.header, "lesion_id")),
          patient(find_column(listing.table.header, "patient_id")) {
        for (int c = 0; c < int(listing.table.header.size()); ++c)
            if (c != listing.image && c != listing.label && c != listing.split) attributes.push_back(size_t(c));
        for (const std::string& wanted : options.exclude_unknown)
            needed.emplace_back(wanted, size_t(need_column(listing.table, wanted)));
    }
};

// Makes samples of the rows of a table.
class Rows {
public:
    Rows(const Listing& listing,
         const DatasetOptions& options,
         const std::vector<std::string>& classes,
         const Columns& columns)
        : listing_(listing), options_(options), classes_(classes), columns_(columns) {
        for (size_t c = 0; c < classes.size(); ++c) label_of_[classes[c]] = int(c);
    }

    // Nothing where the row is left out, which is counted.
    std::optional<Sample> sample(size_t r) {
        const auto& row = table_.rows[r];
        const std::string& image = row[size_t(listing_.image)];
        Sample sample{.image = image + listing_.extension,
                      .label = label(r),
                      .split = Split::train,
                      .unit = known(row, columns_.lesion),
                      .attributes = {}};
        FP_REQUIRE(!image.empty(), Exit::data, where(table_, r), "no image");
        FP_REQUIRE(options_.allow_absolute || stays_below_root(sample.image), Exit::data, where(table_, r), "image '",
                   sample.image, "' leaves the folder of the images (--allow-absolute permits it)");
        if (!has_split(r, sample.split) || lacks_attribute(row)) return std::nullopt;
        if (sample.unit.empty()) sample.unit = known(row, columns_.patient);
        if (sample.unit.empty()) sample.unit = sample.image;
        for (const size_t c : columns_.attributes) sample.attributes.push_back(row[c]);
        return sample;
    }

    void add_notes(std::vector<std::string>& notes) const {
        if (without_split_ > 0)
            notes.push_back(text("left out ", without_split_, " of ", table_.rows.size(),
                                 " images without a word under ", table_.header[size_t(listing_.split)]));
        for (const auto& [column, count] : unknown_)
            notes.push_back(
                text("left out ", count, " of ", table_.rows.size(), " images whose ", column, " is unknown"));
    }

private:
    int label(size_t r) const {
        const std::string& word = table_.rows[r][size_t(listing_.label)];
        FP_REQUIRE(!word.empty(), Exit::data, where(table_, r), "no label");
        const auto found = label_of_.find(word);
        FP_REQUIRE(found != label_of_.end(), Exit::data, where(table_, r), "label '", word, "' is none of the ",
                   classes_.size(), " classes ", list(classes_));
        return found->second;
    }

    bool has_split(size_t r, Split& split) {
        if (listing_.split < 0) return true;
        const std::string& word = table_.rows[r][size_t(listing_.split)];
        if (word.empty()) {
            ++without_split_;
            return false;
        }
        const std::optional<Split> parsed = parse_split(word);
        FP_REQUIRE(parsed, Exit::data, where(table_, r), "split '", word, "' is none of train, val, test");
        split = *parsed;
        return true;
    }

    bool lacks_attribute(const std::vector<std::string>& row) {
        const auto missing = std::find_if(columns_.needed.begin(), columns_.needed.end(),
                                          [&](const auto& need) { return is_unknown(row[need.second]); });
        if (missing == columns_.needed.end()) return false;
        ++unknown_[missing->first];
        return true;
    }

    const Listing& listing_;
    const Table& table_ = listing_.table;
    const DatasetOptions& options_;
    const std::vector<std::string>& classes_;
    const Columns& columns_;
    std::map<std::string_view, int> label_of_;
    std::map<std::string, int64_t> unknown_;  // rows left out, by column
    int64_t without_split_ = 0;               // and these
};

void complete_splits(Dataset& data, bool has_column, uint64_t seed) {
    const auto empty = [&](Split split) {
        return std::none_of(data.samples.begin(), data.samples.end(),
                            [&](const Sample& s) { return s.split == split; });
    };
    if (!has_column) {
        draw_split(data, seed);
        data.notes.push_back(text("drew train, val and test 60/20/20, seed ", seed));
    } else if (empty(Split::val) && !empty(Split::train)) {
        draw_validation(data, seed);
        data.notes.push_back(text("drew val from a fifth of train, seed ", seed));
    }
}

}  // namespace

Dataset dataset_of(const Listing& listing, const DataSpec& spec, const DatasetOptions& options) {
    const Table& table = listing.table;
    Dataset data{.name = spec.text,
                 .root = listing.root,
                 .classes = classes_of(listing, options),
                 .columns = {},
                 .samples = {},
                 .notes = listing.notes,
                 .split_was_drawn = false,
                 .synth = std::nullopt};
    const Columns columns(listing, options);
    for (const size_t c : columns.attributes) data.columns.push_back(table.header[c]);
    Rows rows(listing, options, data.classes, columns);
    for (size_t r = 0; r < table.rows.size(); ++r)
        if (std::optional<Sample> sample = rows.sample(r)) data.samples.push_back(*std::move(sample));
    rows.add_notes(data.notes);
    FP_REQUIRE(!data.samples.empty(), Exit::data, table.name, ": no images are left");
    complete_splits(data, listing.split >= 0, options.split_seed);
    return data;
}

std::string_view name(Split split) { return split == Split::train ? "train" : split == Split::val ? "val" : "test"; }

std::optional<Split> parse_split(std::string_view word) {
    std::string plain(word);
    for (char& c : plain)
        if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
    if (plain == "train" || plain == "training") return Split::train;
    if (plain == "val" || plain == "valid" || plain == "validation" || plain == "dev") return Split::val;
    if (plain == "test" || plain == "testing") return Split::test;
    return std::nullopt;
}

Dataset open_dataset(const std::string& spec, const DatasetOptions& options) {
    const DataSpec parsed = parse_data_spec(spec);
    return parsed.source->open(parsed, options);
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
