// Linear layers: the matrix products of the convolutions, on one pixel whose channels are the whole map; forward of up to
// four samples in float32 and bf16 (TF32 rounds its operands) by linear_rows.cu.
//
//   forward          y[n,k] = bias[k] + sum_hwc w[k,h,w,c] x[n,h,w,c]
//   backward_data    dx[n,h,w,c] = sum_k w[k,h,w,c] dy[n,k]
//   backward_filter  dw[k,h,w,c] = sum_n dy[n,k] x[n,h,w,c]      dbias[k] = sum_n dy[n,k]
//
// Shapes    x (N,H,W,C)  w (K,H,W,C)  y (N,K)
// Kernels   Threads, traffic and bound are those of the convolutions, or of linear_rows.cu. While a thread keeps rounded
//           weights (Conv::keep_rounded) the convolutions' kernels read those at every batch.
// Model     (bench/gpu/run --model: H200, bf16, batch 256) 512 to 8: 5.2 us, one launch and one wave with one block per
//           tile; the lower bound is 0.1
#include "kernels/cuda/conv/conv.cuh"
#include "kernels/cuda/conv/kept.cuh"
#include "kernels/cuda/products/linear_rows.cuh"

namespace fp::FP_MACHINE {
namespace {

// `of`, with the forward pass of a few samples by linear_rows.
template <const Linear& kOf, class A>
constexpr Linear with_few_rows{.scratch_bytes = kOf.scratch_bytes,
                               .forward =
                                   [](const LinearShape& s, const Linear::Forward& a, void* scratch, Stream stream) {
                                       if (s.x.n > kFewRows || kept_weights(a.w, s.w.stored()))
                                           return kOf.forward(s, a, scratch, stream);
                                       linear_rows<A>(s, a, stream);
                                   },
                               .backward_data = kOf.backward_data,
                               .backward_filter = kOf.backward_filter};

}  // namespace

extern const Conv conv_f32, conv_tf32, conv_bf16, conv_bf16_sm90a;

extern const Linear linear_f32{with_few_rows<linear_of<conv_f32>, float>};
extern const Linear linear_tf32{linear_of<conv_tf32>};
extern const Linear linear_bf16{with_few_rows<linear_of<conv_bf16>, bf16>};
extern const Linear linear_bf16_sm90a{with_few_rows<linear_of<conv_bf16_sm90a>, bf16>};

}  // namespace fp::FP_MACHINE
