// Softmax and cross entropy.
#pragma once

#include <cstdint>

#include "kernels/shapes.h"
#include "kernels/types.h"

namespace fp {

// Cross entropy as LossShape defines it, and its gradient with a weight u per sample,
//   dlogits = scale / sums[1] d(sum_n u_n loss_n)/d(logits)
// The divisor does not know u, so a weight scales what a sample counts and no other.
struct Loss {
    struct Forward {
        const act* logits;
        const int32_t* labels;    // (n), -1 for padded samples
        const par* class_weight;  // (c); null: every weight is 1
        par* losses;              // (n), not divided by the weights
        double* sums;             // {sum of the losses, sum of the labels' class weights}
    };
    void (*forward)(const LossShape&, const Forward&, Stream);

    struct Backward {
        const act* logits;
        const int32_t* labels;
        const par* class_weight;
        const float* sample_weight;  // (n); null: every u is 1
        const double* sums;          // forward's
        double scale;
        act* dlogits;
        Write write;
    };
    void (*backward)(const LossShape&, const Backward&, Stream);

    void (*softmax)(const Map& logits, const act* x, float* probabilities, Stream);  // (n, c) dense
};

}  // namespace fp
