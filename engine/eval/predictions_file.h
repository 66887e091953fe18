// Predictions as a table:
//
// image,label,<attributes>,split,prob_<class>...,pred. On input `label` and either `pred` or the `prob_` columns
// suffice, in any order; every other column is an attribute. Rows without `image` are called "row 1", "row 2", ...;
// image and label may have one of their usual other names (engine/io/columns.h). Classes are the `prob_` columns
// in their order, else the sorted distinct labels and predictions (as numbers if all are). The unit of a row is
// unit_of(). An attribute whose name means something else here is written as data_NAME.
#pragma once

#include <filesystem>

#include "engine/fairness/predictions.h"
#include "engine/io/csv.h"

namespace fp {

// `unknown`: words for an unknown attribute besides those of is_unknown(); they are read as "unknown".
// Refused with file and line (Exit::data): no row, no `label`, neither `pred` nor `prob_`, an
// image twice, a label or prediction that is not among the `prob_` classes (without these: that is empty or nan),
// fewer than two classes, a probability that is not a number of 0..1, probabilities of a row that do not sum to 1
// within 0.1.
Predictions predictions_of(const Table& table, const std::vector<std::string>& unknown = {});

// Without labels there are no columns label and split.
Table table_of(const Predictions& predictions);
void write_predictions(const std::filesystem::path& path, const Predictions& predictions);

}  // namespace fp
