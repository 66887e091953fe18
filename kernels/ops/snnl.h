// Soft nearest neighbour loss of every channel (SnnlShape; kernels/reference/snnl.cpp has the formulas).
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/shapes.h"
#include "kernels/types.h"

namespace fp {

struct Snnl {
    struct Forward {
        const act* x;
        const int32_t* labels;  // (sets, n); negative where unknown
        const int32_t* strata;  // (n); null: all samples are of one stratum
        double* scores;         // (sets, c)
    };
    // Of the exact definition and a single label set.
    struct Backward {
        const act* x;
        const int32_t* labels;  // (n)
        const int32_t* strata;  // (n) or null
        const double* dscore;   // (c)
        act* dx;
        Write write;
    };

    // For forward alone, or with `gradient` for both.
    size_t (*scratch_bytes)(const SnnlShape&, bool gradient);
    void (*forward)(const SnnlShape&, const Forward&, void* scratch, Stream);
    void (*backward)(const SnnlShape&, const Backward&, void* scratch, Stream);
};

}  // namespace fp
