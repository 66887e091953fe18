// The layout of the CUDA kernels: NHWC and KRSC, channels rounded up to 8 (16 bytes of bf16), in bf16 above 64 to 16;
// those of the image to 4.
#pragma once

#include "kernels/layout.h"

namespace fp {

constexpr int nhwc_block(int channels) { return int(round_up(channels, 8)); }
// Pixels whose size is not a multiple of 32 bytes share memory sectors, which costs wide maps more than padding does.
// On an H200 a 3x3 of 353 channels to 378 at 7x7 took 114 us, of 368 to 378 81 us; a pruned ResNet-18 1415 us without
// and 1335 with 16 from 96 on. Above 64 it is by the model (72 channels take what 80 do, or more); below, 3x3 layers gain
// more from fewer bytes than 1x1 layers lose.
constexpr int nhwc_block_bf16(int channels) { return int(round_up(channels, channels > 64 ? 16 : 8)); }
constexpr int nhwc_image_block(int channels) { return int(round_up(channels, 4)); }
constexpr Filter krsc_filter(int k, int c, int r, int s, int x_block) {
    return {.k = k, .c = c, .r = r, .s = s, .k_block = 1, .c_block = x_block};
}

}  // namespace fp
