// Softmax and cross entropy.
#pragma once

#include <cstdint>

#include "kernels/shapes.h"
#include "kernels/types.h"

namespace fp {

// Cross entropy as LossShape defines it, and its gradient dlogits = scale / sums[1] d(sum of losses)/d(logits).
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
        const double* sums;  // forward's
        double scale;
        act* dlogits;
        Write write;
    };
    void (*backward)(const LossShape&, const Backward&, Stream);

    void (*softmax)(const Map& logits, const act* x, float* probabilities, Stream);  // (n, c) dense
};

}  // namespace fp
