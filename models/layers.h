// The layers that models are made of: declared with torchvision's names, called with a tape.
#pragma once

#include <string>

#include "engine/core/network.h"
#include "engine/core/ops.h"

namespace fp::models {

inline Norm declare_norm(ParamStore& p, const std::string& name, int channels) {
    return {.name = name,
            .gamma = p.add_vector(name + ".weight", channels),
            .beta = p.add_vector(name + ".bias", channels),
            .running_mean = p.add_vector(name + ".running_mean", channels, Param::Kind::statistic),
            .running_var = p.add_vector(name + ".running_var", channels, Param::Kind::statistic)};
}

// A convolution without bias and the norm behind it.
struct ConvNorm {
    ConvLayer conv;
    Norm norm;
    int out;

    Var operator()(Tape& t, Var x, bool relu, const Residual& residual = {}) const {
        return conv_norm(t, x, conv, norm, relu, residual);
    }
};

inline ConvNorm declare_conv_norm(ParamStore& p,
                                  const std::string& conv_name,
                                  const std::string& norm_name,
                                  int in,
                                  int out,
                                  int window,
                                  int stride,
                                  int x_block) {
    return {.conv = {.name = conv_name,
                     .weight = p.add_filter(conv_name + ".weight", out, in, window, window, x_block),
                     .stride = stride,
                     .pad = window / 2},
            .norm = declare_norm(p, norm_name, out),
            .out = out};
}

struct LinearLayer {
    std::string name;
    const Param *weight, *bias;
    Var operator()(Tape& t, Var x) const { return linear(t, x, *weight, bias, name); }
};

// A fully connected layer over maps of in x h x w.
inline LinearLayer declare_linear(ParamStore& p, const std::string& name, int in, int h, int w, int out) {
    return {.name = name,
            .weight = p.add_linear(name + ".weight", out, in, h, w, p.kernels().block(in)),
            .bias = p.add_vector(name + ".bias", out)};
}

}  // namespace fp::models
