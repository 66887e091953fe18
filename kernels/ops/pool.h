// Max and average pooling.
#pragma once

#include <cstdint>

#include "kernels/shapes.h"
#include "kernels/types.h"

namespace fp {

// argmax[y index] = r * window + s of the first maximum in row order, or of the first NaN: one byte per output, for
// backward; null in inference
struct MaxPool {
    void (*forward)(const MaxPoolShape&, const act* x, act* y, uint8_t* argmax, Stream);
    void (*backward)(
        const MaxPoolShape&, const act* dy, const uint8_t* argmax, act* dx, Write, Stream);
};

// The mean of each of p x q cells, as AvgPoolShape says; their gradients are shared out evenly.
struct AvgPool {
    void (*forward)(const AvgPoolShape&, const act* x, act* y, Stream);
    void (*backward)(const AvgPoolShape&, const act* dy, act* dx, Write, Stream);
};

}  // namespace fp
