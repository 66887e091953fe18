// Softmax cross-entropy as the last row of a tape (kernels/shapes.h has the formula), and probabilities.
#pragma once

#include <vector>

#include "engine/core/tape.h"

namespace fp {

struct CrossEntropy {
    // weights: one per class, or none for all 1.
    CrossEntropy(const Kernels&, int classes, const std::vector<double>& weights = {}, double smoothing = 0);

    int classes;
    double smoothing;
    Buffer class_weights;  // on the device; empty: all 1
};

// A row whose value is the mean loss over the batch.
struct LossRow {
    Var row;
    // On the device, until backward: sum of the losses, sum of the class weights; and the losses, one per row.
    // A sample's weight is in neither.
    const double* sums;
    const par* losses;
};

// `labels`: one per row of logits, on the device; -1 counts for nothing. `sample_weight`: factors on the losses
// in the gradient alone, on the device, read in backward; null: all 1.
LossRow cross_entropy(
    Tape&, Var logits, const int32_t* labels, const CrossEntropy&, const float* sample_weight = nullptr);
// The same with labels in host memory.
LossRow cross_entropy(Tape&, Var logits, const std::vector<int32_t>& labels, const CrossEntropy&);

// The mean of these two sums.
inline double mean_loss(const double* sums) { return sums[1] > 0 ? sums[0] / sums[1] : 0; }
// Waits for the device. Not finite where the network has diverged.
double mean_loss(const Tape&, const LossRow&);

// Probabilities (n, classes), row by row.
std::vector<float> softmax(Tape&, Var logits);

// What an evaluation reads of a batch, valid once the device has finished.
struct RowResults {
    HostBuffer probabilities;  // float32, as softmax() returns them
    HostBuffer losses;         // of the parameters' type

    // - log softmax(logits)[label] of one row, from the logits: it grows without end as the network errs with more
    // confidence. Without class weights and smoothing.
    double loss(int row, const Kernels&) const;
};
// `labels` as for cross_entropy.
void results_later(Tape&, Var logits, const int32_t* labels, RowResults&);

}  // namespace fp
