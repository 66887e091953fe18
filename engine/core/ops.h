// The ops that models are made of. Each runs its forward kernel and records its backward on the tape (op.h lists the
// rows).
#pragma once

#include <string>

#include "engine/core/tape.h"

namespace fp {

// A convolution. `name` is torchvision's name of the module; bias may be null.
struct ConvLayer {
    std::string name;
    const Param* weight = nullptr;
    const Param* bias = nullptr;
    int stride = 1, pad = 0;
};

// A batch norm over channels.
struct Norm {
    std::string name = {};
    const Param *gamma = nullptr, *beta = nullptr, *running_mean = nullptr, *running_var = nullptr;
    double eps = 1e-5, momentum = 0.1;
};

// The window of a max pool.
struct Pool {
    int window = 2, stride = 2, pad = 0;

    MaxPoolShape of(const Map& x) const { return {.x = x, .window = window, .stride = stride, .pad = pad}; }
};

// What is added to the output of a conv_norm: nothing, a row, or a shortcut's norm that has not run yet
// (conv_norm_shortcut).
struct Residual {
    Residual() = default;
    Residual(Var row) : value(row) {}

    Var value;
    // Where `value` is a row of PairedNormOp: its norm, and the convolution before it with the moments of its output.
    const Norm* norm = nullptr;
    Var convolved;
    Moments moments;
};

// y = conv(x, weight) + bias
Var conv2d(Tape&, Var x, const ConvLayer&);

// z = norm(x) [+ residual] [, ReLU]: one row, or with Rows::each_op one each.
Var batchnorm(Tape&, Var x, const Norm&, bool relu, Var residual);

// conv2d and batchnorm together: in Mode::infer one kernel with the norm folded into the filter; in training the
// convolution computes the norm's statistics where the backend can (kernels.h, Moments).
Var conv_norm(Tape&, Var x, const ConvLayer&, const Norm&, bool relu, const Residual& = {});

// conv_norm without ReLU, as the residual of one later conv_norm with ReLU. In training, where the backend can
// (kernels.h, BatchNorm::pair_on_moments), both norms, the addition and ReLU run as one op. The norm must outlive the
// step.
Residual conv_norm_shortcut(Tape&, Var x, const ConvLayer&, const Norm&);

// conv_norm with ReLU, then maxpool. In training norm, ReLU and pool run as one op where the backend can (kernels.h,
// BatchNorm::pools).
Var conv_norm_maxpool(Tape&, Var x, const ConvLayer&, const Norm&, const Pool&);

// conv2d and ReLU; one kernel in Mode::infer.
Var conv_relu(Tape&, Var x, const ConvLayer&);

Var relu(Tape&, Var x);
Var add(Tape&, Var a, Var b);
Var maxpool(Tape&, Var x, const Pool&);
Var avgpool(Tape&, Var x, int p, int q);  // adaptive; the identity where x is p x q already
Var linear(Tape&, Var x, const Param& weight, const Param* bias, const std::string& layer);
Var dropout(Tape&, Var x, double p);

}  // namespace fp
