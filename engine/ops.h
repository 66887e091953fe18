// Everything a model can be made of. Each op runs its forward kernel now and leaves its backward on the
// tape. `layer` is the torchvision module name that the row is known by.
#pragma once

#include <string>

#include "engine/tape.h"

namespace fp {

// y = conv(x, weight) + bias. bias may be null.
Var conv2d(Tape&,
           Var x,
           const Param& weight,
           const Param* bias,
           int stride,
           int pad,
           const std::string& layer);

// The parameters of a batch norm over channels.
struct Norm {
    const Param *gamma, *beta, *running_mean, *running_var;
    double eps = 1e-5, momentum = 0.1;
};

// z = norm(x) [+ residual] [, ReLU]: one row when the tape fuses, else one each.
Var batchnorm(Tape&, Var x, const Norm&, bool relu, Var residual, const std::string& layer);

// conv2d and batchnorm together; in Mode::infer one kernel with the norm folded into the filter; in training the
// convolution takes the statistics where the backend can (kernels.h, Moments).
Var conv_norm(Tape&,
              Var x,
              const Param& weight,
              const Param* bias,
              int stride,
              int pad,
              const Norm&,
              bool relu,
              Var residual,
              const std::string& conv_layer,
              const std::string& norm_layer);

// conv_norm with ReLU, and maxpool of it. In training one op from the norm on where the backend can (kernels.h,
// BatchNorm::pools): the map between is not stored, and the norm's row has the pooled value.
Var conv_norm_maxpool(Tape&,
                      Var x,
                      const Param& weight,
                      int stride,
                      int pad,
                      const Norm&,
                      int pool_window,
                      int pool_stride,
                      int pool_pad,
                      const std::string& conv_layer,
                      const std::string& norm_layer);

// conv2d and the moments of its output, and two such, each with a norm, added, then ReLU: the end of a block whose
// shortcut has a norm. In training, where the backend can (kernels.h, BatchNorm::pair_on_moments).
struct Convolved {
    Var y;
    Moments moments;
};
bool pairs_norms(const Tape&);
Convolved conv_moments(
    Tape&, Var x, const Param& weight, int stride, int pad, const std::string& layer);
Var norm_pair(Tape&,
              const Convolved& main,
              const Norm& main_norm,
              const Convolved& shortcut,
              const Norm& shortcut_norm,
              const std::string& layer);

// conv2d and ReLU; one kernel in Mode::infer.
Var conv_relu(Tape&,
              Var x,
              const Param& weight,
              const Param* bias,
              int stride,
              int pad,
              const std::string& layer);

Var relu(Tape&, Var x);
Var add(Tape&, Var a, Var b);
Var maxpool(Tape&, Var x, int window, int stride, int pad);
Var avgpool(Tape&, Var x, int p, int q);  // adaptive; the identity where x is p x q already
Var linear(Tape&, Var x, const Param& weight, const Param* bias, const std::string& layer);
Var dropout(Tape&, Var x, double p);

}  // namespace fp
