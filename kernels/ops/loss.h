// Softmax and cross entropy.
#pragma once

#include <cstdint>

#include "kernels/shapes.h"
#include "kernels/types.h"

namespace fp {

// losses[n]: loss_n as LossShape says (not divided); sums[0] = sum of loss_n, sums[1] = sum of the labels'
// class weights, both double. class_weight (c) may be null = all 1. backward scales by 1 / sums[1].
struct Loss {
    void (*forward)(const LossShape&,
                    const act* logits,
                    const int32_t* labels,
                    const par* class_weight,
                    par* losses,
                    double* sums,
                    Stream);
    void (*backward)(const LossShape&,
                     const act* logits,
                     const int32_t* labels,
                     const par* class_weight,
                     const double* sums,
                     double scale,
                     act* dlogits,
                     Write,
                     Stream);
    void (*softmax)(const Map& logits, const act* x, float* probabilities, Stream);  // (n, c) dense
};

}  // namespace fp
