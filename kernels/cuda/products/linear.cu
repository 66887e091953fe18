// Linear layers: the matrix products of the convolutions, on one pixel whose channels are the whole map.
//
//   forward          y[n,k] = bias[k] + sum_hwc w[k,h,w,c] x[n,h,w,c]
//   backward_data    dx[n,h,w,c] = sum_k w[k,h,w,c] dy[n,k]
//   backward_filter  dw[k,h,w,c] = sum_n dy[n,k] x[n,h,w,c]      dbias[k] = sum_n dy[n,k]
//
// Shapes    x (N,H,W,C)  w (K,H,W,C)  y (N,K)
// Kernels   Threads, traffic and bound are those of the convolutions. At small batches most bytes are weights.
// Model     (bench/gpu/run --model: H200, bf16, batch 256) 512 to 8: 5.2 us, one launch and one wave with one block per
//           tile; the lower bound is 0.1
#include "kernels/cuda/conv/conv.cuh"

namespace fp::FP_MACHINE {

extern const Conv conv_f32, conv_tf32, conv_bf16, conv_bf16_sm90a;

extern const Linear linear_f32{linear_of<conv_f32>};
extern const Linear linear_tf32{linear_of<conv_tf32>};
extern const Linear linear_bf16{linear_of<conv_bf16>};
extern const Linear linear_bf16_sm90a{linear_of<conv_bf16_sm90a>};

}  // namespace fp::FP_MACHINE
