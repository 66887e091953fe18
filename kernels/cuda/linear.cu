// Linear layer: the float32 convolution's matrix products on one pixel whose channels are the whole map.
//
//   forward          y[n,k] = bias[k] + sum_hwc w[k,h,w,c] x[n,h,w,c]
//   backward_data    dx[n,h,w,c] = sum_k w[k,h,w,c] dy[n,k]
//   backward_filter  dw[k,h,w,c] = sum_n dy[n,k] x[n,h,w,c]      dbias[k] = sum_n dy[n,k]
//
// Shapes    x (N,H,W,C)  w (K,H,W,C)  y (N,K)
// Threads, traffic, bound: conv.cu. At small batches the weights are most of the bytes.
#include "kernels/cuda/conv.cuh"

namespace fp::FP_MACHINE {
namespace {

size_t scratch_bytes(const LinearShape& s) { return conv_scratch_bytes(as_conv(s)); }

void forward(const LinearShape& s,
             const act* x,
             const par* w,
             const par* bias,
             act* y,
             void*,
             Stream stream) {
    conv_forward(as_conv(s), static_cast<const float*>(x), static_cast<const float*>(w),
                 static_cast<const float*>(bias), nullptr, false, static_cast<float*>(y), stream);
}

void backward_data(
    const LinearShape& s, const act* dy, const par* w, act* dx, Write write, void*, Stream stream) {
    conv_backward_data(as_conv(s), static_cast<const float*>(dy), static_cast<const float*>(w),
                       static_cast<float*>(dx), write, stream);
}

void backward_filter(const LinearShape& s,
                     const act* x,
                     const act* dy,
                     par* dw,
                     par* dbias,
                     Write write,
                     void* scratch,
                     Stream stream) {
    conv_backward_filter(as_conv(s), static_cast<const float*>(x), static_cast<const float*>(dy),
                         static_cast<float*>(dw), static_cast<float*>(dbias), write, scratch,
                         stream);
}

}  // namespace

extern const Linear linear_f32{.scratch_bytes = scratch_bytes,
                               .forward = forward,
                               .backward_data = backward_data,
                               .backward_filter = backward_filter};

}  // namespace fp::FP_MACHINE
