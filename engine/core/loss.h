// Softmax cross-entropy at the end of a tape (kernels/shapes.h has the formula).
#pragma once

#include <optional>
#include <vector>

#include "engine/core/tape.h"

namespace fp {

class CrossEntropy {
public:
    // class_weights: one per class, or none for all 1.
    CrossEntropy(const Kernels&,
                 int classes,
                 const std::vector<double>& class_weights = {},
                 double smoothing = 0);

    // The mean over the batch; labels of -1 count for nothing. Not finite where the network has diverged.
    double forward(Tape&, Var logits, const std::vector<int32_t>& labels);
    // The same without waiting, for labels (one a row of logits) that are on the device. The device has
    // sums() = {sum of weighted losses, sum of weights} once it is done: the mean is their quotient.
    void enqueue(Tape&, Var logits, const int32_t* labels);
    const double* sums() const { return static_cast<double*>(sums_.data()); }
    // d mean / d logits of the last forward, times `scale`.
    Tensor gradient(Tape&, Var logits, double scale = 1);
    // Per-sample losses of the last forward, not weighted by 1/n.
    std::vector<double> losses() const;

private:
    const Kernels& kernels_;
    int classes_;
    double smoothing_;
    int samples_ = 0;
    const int32_t* current_ = nullptr;  // labels of the last forward
    Buffer weights_, labels_, losses_, sums_;
};

// Probabilities (n, classes), row by row.
std::vector<float> softmax(Tape&, Var logits);
// The same into `host`, which holds them once the device is done.
void softmax_later(Tape&, Var logits, HostBuffer& host);

}  // namespace fp
