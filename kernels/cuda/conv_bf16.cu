// Convolution in bf16: bf16 activations, float32 weights, gradients of weights and sums.
//
// Formulas, shapes, threads, traffic, bound and model: conv_tensor.cuh. The weights become bf16 on the way
// in: in training once a call, into scratch (4 bytes read and 2 written a weight, beside the product that
// reads them many times); for inference once, by prepare. Model: 2 us and 6 bytes a weight at the memory's rate,
// 2.2 us for 128 x 1152.
#include <cstdlib>

#include "kernels/cuda/conv_tensor_ops.cuh"
#include "kernels/cuda/kept.cuh"

namespace fp::FP_MACHINE {
namespace {

__global__ void to_bf16_kernel(const float* __restrict__ from,
                               bf16* __restrict__ to,
                               int64_t quads) {
    const int64_t i = flat_index();
    if (i >= quads) return;
    const Pack<float> v = load_pack(from + 4 * i);
    stg(reinterpret_cast<uint2*>(to + 4 * i),
        uint2{pack_bf16(v.v[0], v.v[1]), pack_bf16(v.v[2], v.v[3])});
}

// What keep_rounded has rounded. A filter of it begins at a line of 128 bytes.
struct Kept {
    const float* from = nullptr;
    int64_t count = 0;
    const bf16* to = nullptr;

    const bf16* find(const float* w, int64_t size) const {
        const int64_t at = w - from;
        return from && w >= from && at + size <= count && at % 64 == 0 ? to + at : nullptr;
    }
};
Kept kept;

}  // namespace

void keep_rounded(const par* w, int64_t count, void* rounded, Stream stream) {
    kept = {};
    if (count == 0 || std::getenv("FP_NO_KEPT")) return;
    FP_CHECK(count % 4 == 0, "keep_rounded: ", count, " weights");
    launch(to_bf16_kernel, flat_grid(count / 4), stream, static_cast<const float*>(w),
           static_cast<bf16*>(rounded), count / 4);
    kept = {static_cast<const float*>(w), count, static_cast<const bf16*>(rounded)};
}

const bf16* kept_weights(const par* w, int64_t count) {
    return kept.find(static_cast<const float*>(w), count);
}

namespace {

struct RoundedWeights {
    static size_t bytes(const ConvShape& s) { return size_t(s.w.stored()) * sizeof(bf16); }
    static void lay(const ConvShape& s, const par* w, void* to, Stream stream) {
        const int64_t quads = s.w.stored() / 4;
        launch(to_bf16_kernel, flat_grid(quads), stream, static_cast<const float*>(w),
               static_cast<bf16*>(to), quads);
    }
    static const bf16* use(const ConvShape& s, const par* w, void* scratch, Stream stream) {
        if (const bf16* rounded = kept_weights(w, s.w.stored())) return rounded;
        lay(s, w, scratch, stream);
        return static_cast<const bf16*>(scratch);
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
