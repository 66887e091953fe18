// What a classifier predicted for each image, with its true label and the attribute columns. Every figure of this
// folder is computed from it, whichever program made the predictions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/fairness/grouping.h"

namespace fp {

struct Predictions {
    std::vector<std::string> classes;
    std::vector<std::string> image;    // distinct
    std::vector<std::string> unit;     // what is resampled whole: the lesion, else the patient, else the image
    std::vector<int> label, pred;      // indices into `classes`; label -1: of an image without one (fp_predict)
    std::vector<double> prob;          // n x classes, row-major; empty where only `pred` is known
    std::vector<double> loss = {};     // n: cross-entropy of the logits; empty where only probabilities are known
    std::vector<std::string> columns;  // attribute columns; lesion_id and patient_id are among them
    std::vector<std::vector<std::string>> attributes;  // attributes[column][row]
    std::vector<std::string> split;                    // train, val, test or another name; empty where not given

    int64_t size() const { return int64_t(label.size()); }
    bool has_probabilities() const { return !prob.empty(); }
    bool has_labels() const { return label.empty() || label[0] >= 0; }  // all images have one, or none has
    // The n x classes probabilities of one row.
    const double* row(int64_t i) const { return prob.data() + size_t(i) * classes.size(); }
};

// The attribute columns, for group_by.
AttributeColumns attribute_columns(const Predictions&);

// The class of the highest probability, the lowest index at a tie.
int top_class(const double* prob, int classes);

// What the units of the rows are, joined by " or ": lesion_id, patient_id where a row has no lesion, image where it has
// neither.
std::string unit_names(const Predictions&);

// The rows of these indices, in this order.
Predictions rows_of(const Predictions& predictions, const std::vector<int64_t>& rows);
// The rows of one split. Predictions that name no split at all are returned whole; Exit::data with the
// counts where no row is of that split.
Predictions of_split(const Predictions& predictions, std::string_view split);

// Mean cross-entropy of predictions, without class weights and smoothing: of the logits where `loss` holds it, else of
// the probabilities, -mean log max(p[label], 1e-12). NaN without these.
double mean_loss(const Predictions&);

}  // namespace fp
