// Steps of the optimisers, and what gradients need before one.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/types.h"

namespace fp {

// The factor that a step multiplies its gradients by. It stays on the device, so that no step waits for the norm:
//   factor = scale min(1, most / norm)    norm = scale sqrt(sum g^2), before clipping
// A norm that is not finite gives a factor that is not finite, and a step with such a factor changes nothing.
struct GradientScale {
    double factor, norm;

    static constexpr GradientScale of(double norm, double scale, double most) {
        const bool finite = norm - norm == 0;
        return {finite ? norm > most ? scale * (most / norm) : scale : norm - norm, norm};
    }
};

// Settings of one step. g is first multiplied by `scale` (gradient accumulation), or by `clipped->factor` where
// `clipped` is given.
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

// Each call passes once over `count` numbers of the flat parameter block.
struct Optimizer {
    struct Sgd {
        par* w;
        const par* g;
        par* v;  // velocity
    };
    void (*sgd)(int64_t count, const SgdStep&, const Sgd&, Stream);

    struct Adamw {
        par* w;
        const par* g;
        par *m, *v;  // running means of g and g^2
    };
    void (*adamw)(int64_t count, const AdamwStep&, const Adamw&, Stream);

    // average = keep average + (1 - keep) w
    struct Blend {
        double keep;
        par* average;
        const par* w;
    };
    void (*blend)(int64_t count, const Blend&, Stream);

    size_t (*scratch_bytes)(int64_t count);  // of sum_squares
    // *sum = sum g^2, on the device
    void (*sum_squares)(int64_t count, const par* g, double* sum, void* scratch, Stream);

    // The factor of a gradient that lies in `runs` pieces, from their sums of squares, which are added in order.
    struct Clip {
        const double* squares;
        double scale, most;
        GradientScale* to;  // on the device
    };
    void (*clip)(int runs, const Clip&, Stream);

    // to[i] = ((p_0[i] + p_1[i]) + p_2[i]) + ..., p_r[i] = parts[r count + i], each sum rounded to the parameter type: the
    // same bits on every backend. `to` may be `parts`: it then replaces p_0.
    struct SumRanks {
        int ranks;
        const par* parts;
        par* to;
    };
    void (*sum_ranks)(int64_t count, const SumRanks&, Stream);
};

}  // namespace fp
