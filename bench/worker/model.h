// What an op takes on an H200, by the model that its launches were fitted with: kernels/cuda/plan/cost.h for what runs in
// bf16, tiling.h for convolutions in float32 and TF32, and the kernel files' own heads for the rest, which was not measured.
#pragma once

#include <sstream>
#include <string>
#include <string_view>

#include "kernels/cuda/plan/tiling.h"
#include "kernels/kernels.h"

namespace fp {

struct Expectation {
    double flops = 0;
    double bytes = 0;     // each input once, each output once
    double floor = 0;     // seconds: the longer of flops at the peak and bytes at the bandwidth
    double expected = 0;  // seconds, by the kernels' model
    // Of the expected time: matrix, L2, issue, epilogue, memory, adding, integers or start.
    std::string_view limiter = {};
    std::string kernel = "-";  // of a convolution in bf16: the one that takes least, with its tile
};

constexpr double kInstructions = 132 * 128 * 1.83e9;  // of one thread each, a second

constexpr double peak_flops(Precision p) {
    return p == Precision::bf16 ? kDevice.bf16_matrix : p == Precision::tf32 ? kDevice.tf32_matrix : kDevice.ffma;
}

// One convolution (forward, forward_moments, infer, infer_residual, backward_data, backward_data_add, backward_filter),
// where dw is written in float32 and a strided 1x1 convolution reads only the pixels that it uses.
Expectation expect_conv(const ConvShape&, const std::string& direction, Precision);

// Of one line, as bench/gpu/run asks:
//   conv DIRECTION N H C K R STRIDE
//   linear N C K
//   moving KERNEL N H C RESIDUAL    of cost.h's Moving: batch norm, pooling
//   finish C                        statistics or gradients of so many channels, from chunks
//   avgpool N H C,  columns N H C,  image N H,  relu N H C,  add N H C,  dropout N C,  loss N C,  sgd COUNT,  adamw COUNT
//   snnl N C SIDE [gradient] [kernel=NAME]                           of one label set, exact, cosine
Expectation expect(std::istringstream& line, Precision);

}  // namespace fp
