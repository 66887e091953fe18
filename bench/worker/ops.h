// What an op of ops.cpp reads and writes on a device, and how far its outputs are from double (ops_double.cpp).
#pragma once

#include <string>
#include <vector>

#include "bench/worker/numbers.h"

namespace fp {

constexpr float kMean = 0.25f, kVariance = 1.5f;  // what the moments say, whatever x is

struct OpTensors {
    const Kernels& k;
    std::string name;
    Map x, y;  // y: the pooled one
    bool residual = false, again = false, bits = false, apart = false;
    int window = 3;
    BatchNormShape norm;
    MaxPoolShape pool;
    Drawn of_x, of_dy, of_residual, of_gamma, of_beta;
    std::vector<Buffer> inputs, gradients, residuals;
    std::vector<Guarded> outs, winners;
    Guarded middle, dx, dresidual, dz;
    Buffer moments, scratch, gamma, beta, mean, rstd, running_mean, running_var, dgamma, dbeta, rgb;
    Moments told;
    int sets = 2;

    static constexpr Numbers kX{.seed = 1}, kDy{.seed = 3}, kZ{.seed = 4}, kGamma{.seed = 5}, kBeta{.seed = 6};

    OpTensors(const Kernels& table, std::string what)
        : k(table),
          name(std::move(what)),
          of_x(kX, k.activation),
          of_dy(kDy, k.activation),
          of_residual(kZ, k.activation),
          of_gamma(kGamma, k.parameter),
          of_beta(kBeta, k.parameter) {}
};

// Root mean square, relative, of the output that is furthest off, after a call of set 0: all channels of a small case,
// a few of a large one.
double error_in_double(const OpTensors&);

}  // namespace fp
