// oneDNN's primitive for a convolution, created once per shape.
#pragma once

#include "kernels/executed.h"
#include "kernels/onednn/onednn.h"

namespace fp::onednn {

struct ConvOptions {
    bool bias = false, residual = false, relu = false;
};

// Arguments, in the order of Plan::run: forward x, w, bias if any, y; backward_data dy, w, dx;
// backward_filter x, dy, dw; infer x, filters in the plan's layout, bias, y.
const Plan& conv_plan(const ConvShape&, ConvPass, const ConvOptions& = {});

}  // namespace fp::onednn
