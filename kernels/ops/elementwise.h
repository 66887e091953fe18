// ReLU, addition, dropout.
#pragma once

#include <cstdint>

#include "kernels/shapes.h"
#include "kernels/types.h"

namespace fp {

// y = max(x, 0), NaN stays NaN      dx = 0 where y <= 0, else dy
struct Relu {
    void (*forward)(const Map&, const act* x, act* y, Stream);
    void (*backward)(const Map&, const act* y, const act* dy, act* dx, Write, Stream);
};

// y = a + b          da = db = dy: `accumulate` writes or adds dy where it is wanted
struct Add {
    void (*forward)(const Map&, const act* a, const act* b, act* y, Stream);
    void (*accumulate)(const Map&, const act* dy, act* dx, Write, Stream);
};

// y = x * keep / (1 - p), keep = [uniform(key, logical index of the element in NCHW order) >= p]
// (kernels/random.h), so the mask does not depend on the layout. Backward draws the same mask.
struct Dropout {
    void (*forward)(const Map&, double p, uint64_t key, const act* x, act* y, Stream);
    void (*backward)(const Map&, double p, uint64_t key, const act* dy, act* dx, Write, Stream);
};

}  // namespace fp
