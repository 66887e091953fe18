// The layout of the CUDA kernels: NHWC and KRSC, channels rounded up to 8 (16 bytes of bf16), the image's
// to 4.
#pragma once

#include "kernels/layout.h"

namespace fp {

constexpr int nhwc_block(int channels) { return int(round_up(channels, 8)); }
constexpr int nhwc_image_block(int channels) { return int(round_up(channels, 4)); }
constexpr Filter krsc_filter(int k, int c, int r, int s, int x_block) {
    return {.k = k, .c = c, .r = r, .s = s, .k_block = 1, .c_block = x_block};
}

}  // namespace fp
