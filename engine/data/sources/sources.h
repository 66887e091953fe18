// What open_dataset can open: one constant of type Source each, at the end of its file. A source of files lists its
// images as a table; what is common to all of these (classes, units, splits, paths) is done once, in dataset_of.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/data/dataset.h"
#include "engine/data/sources/data_spec.h"
#include "engine/io/csv.h"

namespace fp {

struct Source {
    std::string_view name;                   // "csv" opens csv:...
    std::string_view says;                   // its specification, for --help
    std::span<const std::string_view> keys;  // that may follow the file or folder
    bool needs_path = true;                  // a file or a folder after "csv:"
    Dataset (*open)(const DataSpec&, const DatasetOptions&);

    static constexpr std::string_view kind = "--data: source";
    static std::span<const Source* const> all();
};

struct Listing {
    Table table;
    int image = -1, label = -1, split = -1;  // columns of the table; split may be -1
    std::string root;                        // of the images
    std::string extension;                   // added to every image name
    std::vector<std::string> classes;        // in this order; empty: sorted labels
    std::vector<std::string> notes;
};

Dataset dataset_of(const Listing&, const DataSpec&, const DatasetOptions&);

Listing list_csv(const DataSpec&);

// The column `wanted` (engine/io/columns.h) of `table`; Exit::data with the columns there are if it has none.
int need_column(const Table& table, const std::string& wanted);

// train, val or test from the words in use for them (training, valid, validation, dev, testing, any case).
std::optional<Split> parse_split(std::string_view word);

}  // namespace fp
