// What open_dataset can open. A source lists its images as a table; what is common to all of them (classes,
// units, splits, paths) is done once, in dataset.cpp.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/data/dataset.h"
#include "engine/data/sources/data_spec.h"
#include "engine/io/csv.h"

namespace fp {

struct Listing {
    Table table;
    int image = -1, label = -1, split = -1;  // columns of the table; split may be -1
    std::string root;                        // of the images
    std::string extension;                   // added to every image name
    std::vector<std::string> classes;        // in this order; empty: sorted labels
    std::vector<std::string> notes;
};

Listing list_csv(const DataSpec&);
Listing list_isic2019(const DataSpec&);
Listing list_fitzpatrick17k(const DataSpec&, const DatasetOptions&);
Listing list_folder(const DataSpec&);
Dataset open_synth(const std::string& spec, const DatasetOptions&);  // has no table and needs none

// The column `wanted` (engine/io/columns.h) of `table`; Exit::data with the columns there are if it has none.
int need_column(const Table& table, const std::string& wanted);

// train, val or test from the words in use for them (training, valid, validation, dev, testing, any case).
std::optional<Split> parse_split(std::string_view word);

}  // namespace fp
