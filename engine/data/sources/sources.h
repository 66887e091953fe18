// What open_dataset can open: one constant of type Source each, at the end of its file. A source lists its images as a
// table; what is common to all (classes, units, splits, paths) is done once, in dataset.cpp.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/data/dataset.h"
#include "engine/io/csv.h"

namespace fp {

struct Source;

// The text of --data: KIND:HEAD[,KEY=VALUE]...
struct DataSpec {
    std::string text;  // all of it
    const Source* source;
    std::string head = {};  // a file or a folder; empty for synth
    std::map<std::string, std::string> values = {};

    std::string value(const std::string& key, const std::string& otherwise) const;
};

// A part without KEY= belongs to what precedes it, so that paths may hold commas. Exit::usage for an unknown kind, a
// missing head, a key that the source does not have, and a key given twice.
DataSpec parse_data_spec(const std::string& spec);

struct Listing {
    Table table = {};
    size_t image = 0, label = 1;            // columns of the table
    std::optional<size_t> split = {};       // the same; none: one is drawn
    std::string root = {};                  // of the images
    std::string extension = {};             // added to every image name
    std::vector<std::string> classes = {};  // in this order; empty: sorted labels
    std::vector<std::string> notes = {};
    std::optional<SynthSpec> synth = {};
};

struct SourceKey {
    std::string name, says;
};

struct Source {
    std::string_view name;        // "csv" opens csv:...
    std::string_view says;        // its specification, for --help
    std::string_view opens;       // what that opens, a sentence
    std::vector<SourceKey> keys;  // that may follow the file or folder
    std::string_view example = {};
    bool needs_path = true;  // a file or a folder after "csv:"
    Listing (*list)(const DataSpec&, const DatasetOptions&);

    static constexpr std::string_view kind = "--data: source";
    static std::span<const Source* const> all();
};

// All sources with their keys, for --help; lines of at most 80 columns.
std::string sources_text();

Listing list_csv(const DataSpec&, const DatasetOptions&);

// The column `wanted` (engine/io/columns.h) of `table`; Exit::data with the columns there are if it has none.
size_t need_column(const Table& table, const std::string& wanted);

// train, val or test from the words in use for them (training, valid, validation, dev, testing, any case).
std::optional<Split> parse_split(std::string_view word);

}  // namespace fp
