// Images into activations.
#pragma once

#include <cstdint>

#include "kernels/shapes.h"
#include "kernels/types.h"

namespace fp {

// x[n,c,h,w] = (rgb[n,h,w,c] / 255 - mean[c]) / std[c], of three channels
struct Image {
    struct Normalize {
        const uint8_t* rgb;  // any alignment
        const float *mean, *std;
        act* x;
    };
    void (*normalize)(const Map&, const Normalize&, Stream);
};

}  // namespace fp
