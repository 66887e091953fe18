// Convolution.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/ops/moments.h"
#include "kernels/shapes.h"
#include "kernels/types.h"

namespace fp {

// y = conv(x, w) + bias      dx = conv^T(dy, w)      dw[k,c,r,s] = sum_npq dy x      dbias[k] = sum_npq dy
// `prepare` lays a filter out as `infer` likes it best, once for many calls; `infer` then computes
// act(conv(x, w) + bias + residual) with ReLU for act if asked. bias and residual may be null.
// `forward_moments`, null in backends that have none, is `forward` and leaves the moments of y, of chunks as
// `moments_rows` says.
struct Conv {
    size_t (*scratch_bytes)(const ConvShape&);  // enough for any of the calls below
    void (*forward)(const ConvShape&,
                    const act* x,
                    const par* w,
                    const par* bias,
                    act* y,
                    void* scratch,
                    Stream);
    void (*backward_data)(
        const ConvShape&, const act* dy, const par* w, act* dx, Write, void* scratch, Stream);
    void (*backward_filter)(const ConvShape&,
                            const act* x,
                            const act* dy,
                            par* dw,
                            par* dbias,
                            Write,
                            void* scratch,
                            Stream);
    size_t (*prepared_bytes)(const ConvShape&, bool residual, bool relu);
    void (*prepare)(
        const ConvShape&, bool residual, bool relu, const par* w, void* prepared, Stream);
    void (*infer)(const ConvShape&,
                  const act* x,
                  const void* prepared,
                  const par* bias,
                  const act* residual,
                  bool relu,
                  act* y,
                  void* scratch,
                  Stream);
    Moments::Rows (*moments_rows)(const ConvShape&) = nullptr;
    void (*forward_moments)(const ConvShape&,
                            const act* x,
                            const par* w,
                            const par* bias,
                            act* y,
                            const Moments&,
                            void* scratch,
                            Stream) = nullptr;
    // Rounds the `count` weights from w on into `rounded`, 2 bytes each, in one launch. Until the calling thread's next
    // call, convolutions and linear layers that this thread starts with a filter among those weights read the rounded
    // copy instead. The caller ends this with count 0 before the weights change. Null where weights are used as they are.
    void (*keep_rounded)(const par* w, int64_t count, void* rounded, Stream) = nullptr;
};

}  // namespace fp
