// Batch normalisation.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/ops/moments.h"
#include "kernels/shapes.h"
#include "kernels/types.h"

namespace fp {

// train: batch statistics; keeps mean and rstd = 1/sqrt(var + eps) for backward, moves the running ones.
// infer: running statistics.
// train_on_moments: train, told the moments of x by what made it; null where Conv has no forward_moments.
// backward: g = 0 where y <= 0 (with relu), else dy;  dresidual = g;
//   dgamma = sum g xhat, dbeta = sum g, dx = gamma rstd (g - dbeta/m - xhat dgamma/m),  m = n h w
// backward_frozen: the gradient of `infer`: dx = gamma rstd g with the given (running) mean and rstd.
//
// ReLU's gradient, here and in Relu: a y that is NaN passes dy on, as in PyTorch, so that a network that diverges shows
// it in every gradient.
struct BatchNorm {
    size_t (*scratch_bytes)(const BatchNormShape&);
    void (*train)(const BatchNormShape&,
                  const act* x,
                  const act* residual,
                  const par* gamma,
                  const par* beta,
                  par* running_mean,
                  par* running_var,
                  act* y,
                  par* mean,
                  par* rstd,
                  void* scratch,
                  Stream);
    void (*infer)(const BatchNormShape&,
                  const act* x,
                  const act* residual,
                  const par* gamma,
                  const par* beta,
                  const par* running_mean,
                  const par* running_var,
                  act* y,
                  Stream);
    struct Backward {  // gradients written; any of dresidual, dgamma, dbeta may be null
        act* dx;
        Write dx_write;
        act* dresidual;
        Write dresidual_write;
        par* dgamma;
        par* dbeta;
        Write par_write;
        // Where given, y is what forward made of x with this beta, and without a residual it may be computed again
        // instead of being read.
        const par* beta = nullptr;
    };
    void (*backward)(const BatchNormShape&,
                     const act* x,
                     const act* y,
                     const act* dy,
                     const par* gamma,
                     const par* mean,
                     const par* rstd,
                     const Backward&,
                     void* scratch,
                     Stream);
    void (*backward_frozen)(const BatchNormShape&,
                            const act* x,
                            const act* y,
                            const act* dy,
                            const par* gamma,
                            const par* running_mean,
                            const par* running_var,
                            const Backward&,
                            void* scratch,
                            Stream);
    void (*train_on_moments)(const BatchNormShape&,
                             const act* x,
                             const Moments&,
                             const act* residual,
                             const par* gamma,
                             const par* beta,
                             par* running_mean,
                             par* running_var,
                             act* y,
                             par* mean,
                             par* rstd,
                             Stream) = nullptr;
    // How many bytes lie behind y where BatchNormShape::bits: forward writes there where ReLU passes the gradient, and
    // backward reads that and not y. Null where a backend has no bits.
    size_t (*bits_bytes)(const BatchNormShape&) = nullptr;
    // train_on_moments, ReLU and the max pool behind it as one op, and the gradient of all three; null where a backend
    // has none. `pools` says whether it takes a shape. The map between norm and pool is not stored. argmax is MaxPool's,
    // or 255 where the maximum is 0, so that no pixel has the gradient. Backward replaces dx.
    bool (*pools)(const BatchNormShape&, const MaxPoolShape&) = nullptr;
    size_t (*pool_scratch_bytes)(const BatchNormShape&, const MaxPoolShape&) = nullptr;
    void (*pool_on_moments)(const BatchNormShape&,
                            const MaxPoolShape&,
                            const act* x,
                            const Moments&,
                            const par* gamma,
                            const par* beta,
                            par* running_mean,
                            par* running_var,
                            act* y,
                            uint8_t* argmax,
                            par* mean,
                            par* rstd,
                            Stream) = nullptr;
    void (*pool_backward)(const BatchNormShape&,
                          const MaxPoolShape&,
                          const act* x,
                          const act* dy,
                          const uint8_t* argmax,
                          const par* gamma,
                          const par* mean,
                          const par* rstd,
                          const Backward&,
                          void* scratch,
                          Stream) = nullptr;
    // Two inputs, each with a norm of its own, added, then ReLU: the end of a block whose shortcut has a norm. Neither
    // normalised map is stored alone. The shape has relu and bits. Null where a backend has none. Backward replaces
    // both dx.
    struct Half {
        const act* x;
        const par *gamma, *beta;
        par *mean, *rstd;
    };
    struct HalfOnMoments {
        Moments moments;
        par *running_mean, *running_var;
    };
    struct HalfGradient {
        act* dx;
        par *dgamma, *dbeta;  // may be null
    };
    size_t (*pair_scratch_bytes)(const BatchNormShape&) = nullptr;
    void (*pair_on_moments)(const BatchNormShape&,
                            const Half&,
                            const HalfOnMoments&,
                            const Half&,
                            const HalfOnMoments&,
                            act* y,
                            Stream) = nullptr;
    void (*pair_backward)(const BatchNormShape&,
                          const Half&,
                          const Half&,
                          const act* y,
                          const act* dy,
                          const HalfGradient&,
                          const HalfGradient&,
                          Write par_write,
                          void* scratch,
                          Stream) = nullptr;
};

}  // namespace fp
