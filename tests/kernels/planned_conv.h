// A convolution as bf16 on a GPU stores it.
#pragma once

#include "kernels/cuda/plan/layout.h"
#include "kernels/shapes.h"

namespace fp {

inline ConvShape conv(int n, int c, int size, int k, int window, int stride) {
    const int block = c <= 4 ? nhwc_image_block(c) : nhwc_block_bf16(c);
    return {.x = {.n = n, .c = c, .h = size, .w = size, .block = block},
            .w = krsc_filter(k, c, window, window, block),
            .stride = stride,
            .pad = window / 2,
            .y_block = nhwc_block_bf16(k)};
}

}  // namespace fp
