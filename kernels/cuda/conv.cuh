// A convolution's sizes as its kernels read them, and what the float32 kernels offer to other ops.
#pragma once

#include "machine.cuh"

namespace fp::FP_MACHINE {

struct ConvSizes {
    int n, h, w, c;  // input, c as stored
    int k, r, s;     // filters, logical
    int p, q, y_c;   // output, y_c as stored
    int stride, pad;

    static ConvSizes of(const ConvShape&);  // checks what the kernels' index arithmetic needs
    constexpr int64_t pixels_in() const { return int64_t(n) * h * w; }
    constexpr int64_t pixels_out() const { return int64_t(n) * p * q; }
    constexpr int taps_c() const { return r * s * c; }  // a filter's length in memory
};

// The ops of kernels.h, float32 on the ordinary cores. scratch: as conv_scratch_bytes says.
size_t conv_scratch_bytes(const ConvShape&);
void conv_forward(const ConvShape&,
                  const float* x,
                  const float* w,
                  const float* bias,
                  const float* residual,
                  bool relu,
                  float* y,
                  Stream);
void conv_backward_data(
    const ConvShape&, const float* dy, const float* w, float* dx, Write, Stream);
void conv_backward_filter(const ConvShape&,
                          const float* x,
                          const float* dy,
                          float* dw,
                          float* dbias,
                          Write,
                          void* scratch,
                          Stream);

// A linear layer is a 1x1 convolution over one pixel whose channels are the whole stored map.
ConvShape as_conv(const LinearShape&);

}  // namespace fp::FP_MACHINE
