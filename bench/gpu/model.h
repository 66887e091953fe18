// What an op should take on an H200 (kernels/tiles.h, Device), before anything is measured: its arithmetic and its
// traffic by the kernel files' own heads.
#pragma once

#include <sstream>
#include <string>
#include <string_view>

#include "kernels/kernels.h"
#include "kernels/tiles.h"

namespace fp {

struct Expectation {
    double flops = 0;
    double bytes = 0;     // each input once, each output once
    double floor = 0;     // seconds: the longer of flops at the peak and bytes at the bandwidth
    double expected = 0;  // seconds, by the kernels' model
    std::string_view
        limiter;  // of the expected time: matrix, L2, memory, adding, integers or start
};

constexpr double kExponentials = 3.87e12;             // a second (GPU.md 2.1)
constexpr double kInstructions = 132 * 128 * 1.83e9;  // of one thread each, a second

constexpr double peak_flops(Precision p) {
    return p == Precision::bf16   ? kDevice.bf16_matrix
           : p == Precision::tf32 ? kDevice.tf32_matrix
                                  : kDevice.ffma;
}

// One convolution (forward, infer, backward_data, backward_filter), by the rules of GPU.md 2.2: dw in float32, a
// strided 1x1 reads what it uses.
Expectation expect_conv(const ConvShape&, const std::string& direction, Precision);

// Of one line, as bench/gpu/run asks:
//   conv DIRECTION N H C K R STRIDE
//   linear N C K
//   batchnorm train|train_on_moments|infer|backward N H C RESIDUAL    with ReLU
//   maxpool forward|backward N H C                                    3x3, stride 2
//   avgpool N H C,  columns N H C,  image N H,  relu N H C,  add N H C,  dropout N C,  loss N C,  sgd COUNT,  adamw COUNT
//   snnl N C SIDE,  snnl_backward N C SIDE                            of one label set, exact, cosine
Expectation expect(std::istringstream& line, Precision);

}  // namespace fp
