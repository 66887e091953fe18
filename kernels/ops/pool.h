// Max and average pooling.
#pragma once

#include <cstdint>

#include "kernels/shapes.h"
#include "kernels/types.h"

namespace fp {

// y[n,c,p,q] = max over the window of x      dx = sum of dy over the outputs whose maximum this input is
// argmax has the index of y: the place r * window + s of the first maximum in row order, or of the first NaN.
struct MaxPool {
    struct Forward {
        const act* x;
        act* y;
        uint8_t* argmax;  // null in inference
    };
    void (*forward)(const MaxPoolShape&, const Forward&, Stream);

    struct Backward {
        const act* dy;
        const uint8_t* argmax;
        act* dx;
        Write write;
    };
    void (*backward)(const MaxPoolShape&, const Backward&, Stream);
};

// y[n,c,i,j] = mean of x over cell (i,j) of AvgPoolShape      dx = sum of dy / (size of the cell) over the cells that
// contain this input
struct AvgPool {
    struct Forward {
        const act* x;
        act* y;
    };
    void (*forward)(const AvgPoolShape&, const Forward&, Stream);

    struct Backward {
        const act* dy;
        act* dx;
        Write write;
    };
    void (*backward)(const AvgPoolShape&, const Backward&, Stream);
};

}  // namespace fp
