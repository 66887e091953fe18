// What a classifier said about each image, beside the truth and the columns that make groups: the one thing
// that every figure of this folder is computed from, whoever's model it was.
//
// As a file (CSV): image,label,<attributes>,split,prob_<class>...,pred. On input `image`, `label` and either
// `pred` or the `prob_` columns suffice, in any order; every other column is an attribute. Classes are the
// `prob_` columns in their order, else the sorted distinct labels and predictions (as numbers if all are). The
// unit is the column lesion_id, else patient_id, else the image; an empty cell there is a unit of its own. An
// attribute whose name means something else here is written as data_NAME.
#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include "engine/data/csv.h"

namespace fp {

struct Predictions {
    std::vector<std::string> classes;
    std::vector<std::string> image;  // distinct
    std::vector<std::string>
        unit;  // what is resampled whole: the lesion, else the patient, else the image
    std::vector<int> label, pred;      // indices into `classes`
    std::vector<double> prob;          // n x classes, row-major; empty where only `pred` is known
    std::vector<std::string> columns;  // attribute columns; lesion_id and patient_id are among them
    std::vector<std::vector<std::string>> attributes;  // attributes[column][row]
    std::vector<std::string> split;                    // train, val or test; empty where unsaid

    int64_t size() const { return int64_t(label.size()); }
    bool has_probabilities() const { return !prob.empty(); }
    // The n x classes probabilities of one row.
    const double* row(int64_t i) const { return prob.data() + size_t(i) * classes.size(); }
};

// The class of the highest probability, the lowest index at a tie.
int top_class(const double* prob, int classes);

// lesion_id, patient_id or image.
std::string unit_column(const std::vector<std::string>& columns);

// Refused with file and line (Exit::data): no row, no `image` or `label`, neither `pred` nor `prob_`, an
// image twice, a label or prediction that is not among the `prob_` classes, fewer than two classes, a
// probability that is not a number of 0..1, probabilities of a row that do not sum to 1 within 0.1.
Predictions predictions_of(const Table& table);
Predictions read_predictions(const std::filesystem::path& path);

Table table_of(const Predictions& predictions);
void write_predictions(const std::filesystem::path& path, const Predictions& predictions);

// The rows whose index is listed, in that order.
Predictions rows_of(const Predictions& predictions, const std::vector<int64_t>& rows);
// The rows of one split. Predictions that name no split at all are returned whole; Exit::data with the
// counts where no row is of that split.
Predictions of_split(const Predictions& predictions, std::string_view split);

}  // namespace fp
