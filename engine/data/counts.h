// How many images there are of each class, in each split, in each group.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/data/dataset.h"

namespace fp {

// count[class][group] of the images of one split; the last column is the unknown group.
std::vector<std::vector<int64_t>> class_by_group(const Dataset&, Split, const Grouping&);
std::vector<std::string> group_columns(const Grouping&);  // the names of its columns

// Lesions, patients or single images, of one split or of all.
int64_t count_units(const Dataset&, std::optional<Split> = std::nullopt);

// A table of class by split, a line for each split that shares lesions with train, then a table of class by group for
// each split and attribute. Control characters in names are escaped.
std::string counts_text(const Dataset&, const std::vector<Grouping>&);

}  // namespace fp
