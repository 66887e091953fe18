// ReLU, addition, dropout.
#pragma once

#include <cstdint>

#include "kernels/shapes.h"
#include "kernels/types.h"

namespace fp {

// y = max(x, 0), NaN stays NaN      dx = 0 where y <= 0, else dy
struct Relu {
    struct Forward {
        const act* x;
        act* y;  // may be x
    };
    void (*forward)(const Map&, const Forward&, Stream);

    struct Backward {
        const act *y, *dy;
        act* dx;
        Write write;
    };
    void (*backward)(const Map&, const Backward&, Stream);
};

// y = a + b      da = db = dy: `accumulate` copies or adds dy to one gradient
struct Add {
    struct Forward {
        const act *a, *b;
        act* y;  // may be a or b
    };
    void (*forward)(const Map&, const Forward&, Stream);

    struct Accumulate {
        const act* dy;
        act* dx;
        Write write;
    };
    void (*accumulate)(const Map&, const Accumulate&, Stream);
};

// y = x keep / (1 - p)      dx = dy keep / (1 - p)
// keep = [uniform(key, logical index of the element in NCHW order) >= p]: the mask does not depend on the layout, and
// backward draws it again (kernels/random.h).
struct Dropout {
    struct Forward {
        double p;
        uint64_t key;
        const act* x;
        act* y;
    };
    void (*forward)(const Map&, const Forward&, Stream);

    struct Backward {
        double p;
        uint64_t key;
        const act* dy;
        act* dx;
        Write write;
    };
    void (*backward)(const Map&, const Backward&, Stream);
};

}  // namespace fp
