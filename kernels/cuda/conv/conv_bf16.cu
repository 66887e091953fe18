// Convolution in bf16: bf16 activations, float32 weights, gradients of weights and sums.
//
// Formulas, shapes, threads, traffic, bound and model: conv_mma.cuh. Weights are rounded to bf16 first (kept.cu): in
// training once per step if the caller uses Conv::keep_rounded, otherwise in every call, into scratch; for inference
// once, by `prepare`.
#include "kernels/cuda/conv/conv_mma_launch.cuh"
#include "kernels/cuda/conv/kept.cuh"

namespace fp::FP_MACHINE {
namespace {

struct RoundedWeights {
    static size_t bytes(const ConvShape& s) { return size_t(s.w.stored()) * sizeof(bf16); }
    static void lay(const ConvShape& s, const par* w, void* to, Stream stream) {
        round_weights(w, s.w.stored(), to, stream);
    }
    static const bf16* use(const ConvShape& s, const par* w, void* scratch, Stream stream) {
        return rounded_weights(w, s.w.stored(), scratch, stream);
    }
};

using Ops = TensorOps<Bf16, RoundedWeights>;

}  // namespace

extern const Conv conv_bf16{[] {
    Conv conv = Ops::conv;
    conv.keep_rounded = keep_rounded;
    return conv;
}()};

}  // namespace fp::FP_MACHINE
