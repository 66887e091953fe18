// Soft nearest neighbour loss.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/shapes.h"
#include "kernels/types.h"

namespace fp {

// labels (sets, n) int32, strata (n) int32 or null, scores (sets, c) double. `dscore` (c) double.
// backward is for one set (sets = 1), definition exact.
struct Snnl {
    size_t (*scratch_bytes)(const SnnlShape&,
                            bool gradient);  // of forward alone, or of backward too
    void (*forward)(const SnnlShape&,
                    const act* x,
                    const int32_t* labels,
                    const int32_t* strata,
                    double* scores,
                    void* scratch,
                    Stream);
    void (*backward)(const SnnlShape&,
                     const act* x,
                     const int32_t* labels,
                     const int32_t* strata,
                     const double* dscore,
                     act* dx,
                     Write,
                     void* scratch,
                     Stream);
};

}  // namespace fp
