// An output pixel's place, and what the convolutions offer to other ops.
#pragma once

#include "kernels/cuda/plan/conv_sizes.h"
#include "machine.cuh"

namespace fp::FP_MACHINE {

// An output pixel that moves on by so many rows and columns at a time.
struct PixelStep {
    int p, q;
    __device__ static PixelStep of(const ConvSizes& g, int pixels) {
        return {pixels / g.q, pixels % g.q};
    }
};
struct PixelPlace {
    int n, p, q;
    __device__ PixelPlace(const ConvSizes& g, int pixel)
        : n(pixel / g.q / g.p), p(pixel / g.q % g.p), q(pixel % g.q) {}
    __device__ void advance(const ConvSizes& g, const PixelStep& step) {
        p += step.p;
        q += step.q;
        while (q >= g.q) q -= g.q, ++p;
        while (p >= g.p) p -= g.p, ++n;
    }
};

// The filter is best as it is: prepared is a copy of it.
size_t conv_prepared_bytes(const ConvShape&, bool residual, bool relu);
void conv_prepare(const ConvShape&, bool residual, bool relu, const par* w, void* prepared, Stream);

// The ops of `kConv` on that convolution.
template <const Conv& kConv>
constexpr Linear linear_of{
    .scratch_bytes = [](const LinearShape& s) { return kConv.scratch_bytes(as_conv(s)); },
    .forward = [](const LinearShape& s,
                  const act* x,
                  const par* w,
                  const par* bias,
                  act* y,
                  void* scratch,
                  Stream stream) { kConv.forward(as_conv(s), x, w, bias, y, scratch, stream); },
    .backward_data =
        [](const LinearShape& s,
           const act* dy,
           const par* w,
           act* dx,
           Write write,
           void* scratch,
           Stream stream) { kConv.backward_data(as_conv(s), dy, w, dx, write, scratch, stream); },
    .backward_filter =
        [](const LinearShape& s,
           const act* x,
           const act* dy,
           par* dw,
           par* dbias,
           Write write,
           void* scratch,
           Stream stream) {
            kConv.backward_filter(as_conv(s), x, dy, dw, dbias, write, scratch, stream);
        }};

}  // namespace fp::FP_MACHINE
