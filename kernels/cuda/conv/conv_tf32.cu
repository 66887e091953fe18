// Convolution in TF32: float32 in memory, operands rounded to 10 bits of mantissa on the way into the tensor core,
// float32 sums.
//
// Formulas, shapes, threads, traffic and bound: conv_mma.cuh.
//
// Model     (bench/gpu/run --model: H200, batch 256) 3x3 of 128 channels at 28x28: forward and dx 348 us, dw 361; the
//           lower bound is 138
#include "kernels/cuda/conv/conv_mma_launch.cuh"

namespace fp::FP_MACHINE {
namespace {

struct PlainWeights {  // used unchanged; a prepared filter is a copy
    static constexpr Conv::Fused kAny{.residual = false, .relu = false};
    static size_t bytes(const ConvShape& s) { return conv_prepared_bytes(s, kAny); }
    static void lay(const ConvShape& s, const par* w, void* to, Stream stream) { conv_prepare(s, kAny, w, to, stream); }
    static const float* use(const ConvShape&, const par* w, void*, Stream) { return as<float>(w); }
};

using Ops = TensorOps<Tf32, PlainWeights>;

}  // namespace

extern const Conv conv_tf32{Ops::conv};

}  // namespace fp::FP_MACHINE
