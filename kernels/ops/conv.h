// Convolution.
//
//   forward          y = conv(x, w) + bias
//   infer            y = relu(conv(x, w) + bias + residual), with ReLU if asked for
//   backward_data    dx = conv^T(dy, w)
//   backward_filter  dw[k,c,r,s] = sum_npq dy[n,k,p,q] x[n,c,h,w]      dbias[k] = sum_npq dy[n,k,p,q]
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/ops/moments.h"
#include "kernels/shapes.h"
#include "kernels/types.h"

namespace fp {

struct Conv {
    struct Forward {
        const act* x;
        const par *w, *bias;  // bias may be null
        act* y;
    };
    struct BackwardData {
        const act* dy;
        const par* w;
        act* dx;
        Write write;
    };
    struct BackwardFilter {
        const act *x, *dy;
        par *dw, *dbias;  // dbias may be null
        Write write;      // of both
    };
    // The operations that `infer` fuses with the convolution. A prepared filter is made for one combination of them.
    struct Fused {
        bool residual, relu;
    };
    struct Infer {
        const act* x;
        const void* prepared;
        const par* bias;      // may be null
        const act* residual;  // may be null; the same for y
        bool relu;
        act* y;

        // The forward pass with a filter in the backend's own form.
        static constexpr Infer of(const Forward& a, const void* filter) {
            return {.x = a.x, .prepared = filter, .bias = a.bias, .residual = nullptr, .relu = false, .y = a.y};
        }
    };

    size_t (*scratch_bytes)(const ConvShape&);  // enough for every function below
    void (*forward)(const ConvShape&, const Forward&, void* scratch, Stream);
    void (*backward_data)(const ConvShape&, const BackwardData&, void* scratch, Stream);
    void (*backward_filter)(const ConvShape&, const BackwardFilter&, void* scratch, Stream);

    // Inference: `prepare` converts a filter once into the backend's fastest layout, and `infer` reads that copy. The
    // caller waits for `prepare` (Memory::synchronize) before the first `infer`, which may read the copy while the calls
    // in front of it still run.
    size_t (*prepared_bytes)(const ConvShape&, Fused);
    void (*prepare)(const ConvShape&, Fused, const par* w, void* prepared, Stream);
    void (*infer)(const ConvShape&, const Infer&, void* scratch, Stream);

    // `forward` that also writes the moments of y, in `moments_parts` parts; both null where a backend has no such
    // kernel.
    int (*moments_parts)(const ConvShape&) = nullptr;
    void (*forward_moments)(const ConvShape&, const Forward&, const Moments&, void* scratch, Stream) = nullptr;

    // Rounds the `count` weights from w on into `rounded`, 2 bytes each, in one launch. Until the calling thread's next
    // call, convolutions and linear layers that this thread starts with a filter among those weights read the rounded
    // copy instead. The caller ends this with count 0 before the weights change. Null where weights are used as they
    // are.
    void (*keep_rounded)(const par* w, int64_t count, void* rounded, Stream) = nullptr;
};

}  // namespace fp
