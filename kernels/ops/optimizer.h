// Steps of the optimisers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/types.h"

namespace fp {

// What a step multiplies its gradients by, on the device, so that no step waits for their norm:
//   factor = scale min(1, most / norm)    norm = scale sqrt(sum g^2), before clipping
// A norm that is not finite makes a factor that is not, and with such a one a step changes nothing.
struct GradientScale {
    double factor, norm;

    static constexpr GradientScale of(double norm, double scale, double most) {
        const bool finite = norm - norm == 0;
        return {finite ? norm > most ? scale * (most / norm) : scale : norm - norm, norm};
    }
};

// One pass over `count` numbers of the flat parameter block. g is multiplied by `scale` first (accumulation),
// or by `clipped->factor` where that is given. Means of m and v in double where sums are taken.
//   sgd    g += decay w;  v = momentum v + g;  w -= lr (nesterov ? g + momentum v : v)
//   adamw  w -= lr decay w;  m, v = running means of g, g^2;  w -= lr mhat / (sqrt(vhat) + eps)
struct SgdStep {
    double lr, momentum, decay;
    bool nesterov;
    double scale = 1;
    const GradientScale* clipped = nullptr;  // on the device
};

struct AdamwStep {
    double lr, beta1, beta2, eps, decay;
    int64_t step;  // from 1
    double scale = 1;
    const GradientScale* clipped = nullptr;  // on the device
};

struct Optimizer {
    void (*sgd)(int64_t count, const SgdStep&, par* w, const par* g, par* v, Stream);
    void (*adamw)(int64_t count, const AdamwStep&, par* w, const par* g, par* m, par* v, Stream);
    void (*blend)(
        int64_t count, double keep, par* average, const par* w, Stream);  // a = keep a + (1-keep) w
    size_t (*scratch_bytes)(int64_t count);                               // of sum_squares
    void (*sum_squares)(
        int64_t count, const par* g, double* sum, void* scratch, Stream);  // sum on the device
    // Of a gradient in `runs` pieces whose sums of squares are given; added in order.
    void (*clip)(
        int runs, const double* squares, double scale, double most, GradientScale*, Stream);
};

}  // namespace fp
