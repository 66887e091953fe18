// Images into activations.
#pragma once

#include <cstdint>

#include "kernels/shapes.h"
#include "kernels/types.h"

namespace fp {

// x[n,c,h,w] = (rgb[n,h,w,c] / 255 - mean[c]) / std[c] of three channels; rgb lies at any address
struct Image {
    void (*normalize)(
        const Map&, const uint8_t* rgb, const float* mean, const float* std, act* x, Stream);
};

}  // namespace fp
