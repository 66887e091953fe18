// Predictions as a table:
//
// image,label,<attributes>,split,prob_<class>...,pred. On input `image`, `label` and either
// `pred` or the `prob_` columns suffice, in any order; every other column is an attribute. Classes are the
// `prob_` columns in their order, else the sorted distinct labels and predictions (as numbers if all are). The
// unit is the column lesion_id, else patient_id, else the image; an unknown value there is a unit of its own. An
// attribute whose name means something else here is written as data_NAME.
#pragma once

#include <filesystem>

#include "engine/fairness/predictions.h"
#include "engine/io/csv.h"

namespace fp {

// Refused with file and line (Exit::data): no row, no `image` or `label`, neither `pred` nor `prob_`, an
// image twice, a label or prediction that is not among the `prob_` classes (without these: that is empty or nan),
// fewer than two classes, a probability that is not a number of 0..1, probabilities of a row that do not sum to 1
// within 0.1.
Predictions predictions_of(const Table& table);
Predictions read_predictions(const std::filesystem::path& path);

// Without labels there are no columns label and split.
Table table_of(const Predictions& predictions);
void write_predictions(const std::filesystem::path& path, const Predictions& predictions);

}  // namespace fp
