// Batch normalisation.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/ops/moments.h"
#include "kernels/shapes.h"
#include "kernels/types.h"

namespace fp {

// y = relu(gamma (x - mean) rstd + beta + residual), each channel with its own mean and rstd = 1 / sqrt(var + eps).
// ReLU and residual are optional (BatchNormShape). gamma, beta, mean, rstd and the running statistics are vectors with
// one number per channel.
//
// With m = n h w, g = dy where ReLU passes the gradient and 0 elsewhere, and xhat = (x - mean) rstd:
//   dresidual = g      dgamma = sum g xhat      dbeta = sum g
//   dx = gamma rstd (g - dbeta / m - xhat dgamma / m)   batch statistics, which depend on x
//   dx = gamma rstd g                                   running statistics
//
// ReLU's gradient, here and in Relu: a y that is NaN passes dy on, as in PyTorch, so that a network that diverges shows
// it in every gradient.
struct BatchNorm {
    size_t (*scratch_bytes)(const BatchNormShape&);  // of train, backward and backward_frozen

    // Normalises with the statistics of the batch, and moves the running statistics towards them.
    struct Train {
        const act* x;
        const act* residual;  // null without a residual
        const par *gamma, *beta;
        par *running_mean, *running_var;
        act* y;
        par *mean, *rstd;  // the batch statistics, which backward reads
    };
    void (*train)(const BatchNormShape&, const Train&, void* scratch, Stream);
    // The same, with the moments of x given by the convolution that wrote x. Null where Conv has no forward_moments.
    void (*train_on_moments)(const BatchNormShape&, const Train&, const Moments&, Stream) = nullptr;

    // Normalises with the running statistics.
    struct Infer {
        const act* x;
        const act* residual;  // null without a residual
        const par *gamma, *beta;
        const par *running_mean, *running_var;
        act* y;
    };
    void (*infer)(const BatchNormShape&, const Infer&, Stream);

    // Where the gradients are written. dresidual, dgamma and dbeta may be null: not wanted.
    struct Gradients {
        act* dx;
        Write dx_write;
        act* dresidual;
        Write dresidual_write;
        par *dgamma, *dbeta;
        Write par_write;
    };
    // The gradient of train.
    struct Backward {
        const act *x, *y, *dy;
        const par* gamma;
        // Null: ReLU's mask is read from y. Else y was computed from x with this beta, and a backend may compute the
        // mask again from x where there is no residual, which saves reading y.
        const par* beta;
        const par *mean, *rstd;
        Gradients to;
    };
    void (*backward)(const BatchNormShape&, const Backward&, void* scratch, Stream);
    // The gradient of infer.
    struct BackwardFrozen {
        const act *x, *y, *dy;
        const par *gamma, *beta;  // beta as in Backward
        const par *running_mean, *running_var;
        Gradients to;
    };
    void (*backward_frozen)(const BatchNormShape&, const BackwardFrozen&, void* scratch, Stream);

    // The running statistics after the batches whose own statistics lie one behind another in `of`, `count` numbers
    // each, in that order: running = (1 - momentum) running + momentum batch for each, rounded to the parameters' type
    // before and after. train moves them by the same function, so that the bits do not depend on who moved them; with
    // momentum 1 it leaves the batch's own.
    struct Follow {
        par* running;
        const par* of;
    };
    void (*follow)(int64_t count, int batches, double momentum, const Follow&, Stream);

    // Size of ReLU's mask behind y where BatchNormShape::bits is set: forward writes it, and backward reads it in place
    // of y. Null where a backend has no such mask.
    size_t (*bits_bytes)(const BatchNormShape&) = nullptr;

    // train_on_moments with ReLU, followed by max pooling, in one kernel: the normalised map is not stored. `pools`
    // says which shapes are supported; it and the other three are null where a backend has no such kernel.
    bool (*pools)(const BatchNormShape&, const MaxPoolShape&) = nullptr;
    size_t (*pool_scratch_bytes)(const BatchNormShape&, const MaxPoolShape&) = nullptr;
    struct TrainPool {
        const act* x;
        const par *gamma, *beta;
        par *running_mean, *running_var;
        act* y;           // the pooled map
        uint8_t* argmax;  // MaxPool's, or 255 where y is 0: then no pixel receives the gradient
        par *mean, *rstd;
    };
    void (*pool_on_moments)(const BatchNormShape&, const MaxPoolShape&, const TrainPool&, const Moments&, Stream) =
        nullptr;
    struct BackwardPool {
        const act *x, *dy;  // dy of the pooled map
        const uint8_t* argmax;
        const par *gamma, *mean, *rstd;
        act* dx;              // replaced
        par *dgamma, *dbeta;  // may be null
        Write par_write;
    };
    void (*pool_backward)(const BatchNormShape&, const MaxPoolShape&, const BackwardPool&, void* scratch, Stream) =
        nullptr;

    // y = relu(norm_a(x_a) + norm_b(x_b)) in one kernel: the end of a residual block whose shortcut has a batch norm.
    // Neither normalised map is stored. The shape has relu and bits. All three are null where a backend has no such
    // kernel.
    size_t (*pair_scratch_bytes)(const BatchNormShape&) = nullptr;
    struct TrainPair {
        struct Half {
            const act* x;
            Moments moments;
            const par *gamma, *beta;
            par *running_mean, *running_var;
            par *mean, *rstd;
        };
        Half a, b;
        act* y;
    };
    void (*pair_on_moments)(const BatchNormShape&, const TrainPair&, Stream) = nullptr;
    struct BackwardPair {
        struct Half {
            const act* x;
            const par *gamma, *mean, *rstd;
            act* dx;              // replaced
            par *dgamma, *dbeta;  // may be null
        };
        Half a, b;
        const act *y, *dy;  // of y only the bits are read
        Write par_write;
    };
    void (*pair_backward)(const BatchNormShape&, const BackwardPair&, void* scratch, Stream) = nullptr;
};

}  // namespace fp
