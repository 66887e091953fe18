// Weights rounded to bf16 for the tensor cores.
//
//   to[i] = bf16(w[i])
//
// Shapes    any count that is a multiple of 4
// Threads   one per four weights
// Traffic   6 bytes per weight
// Bound     memory, or for few weights the launch. keep_rounded rounds all weights of a step in one launch instead of
//           the 41 launches of ResNet-18's convolutions.
// Measured  no figure of this kernel alone
#include "kernels/cuda/conv/kept.cuh"

#include "kernels/cuda/walks/pack.cuh"

namespace fp::FP_MACHINE {
namespace {

__global__ void to_bf16_kernel(const float* __restrict__ from, bf16* __restrict__ to, int64_t quads) {
    const int64_t i = flat_index();
    if (i >= quads) return;
    const Pack<float> v = load_pack(from + 4 * i);
    stg(reinterpret_cast<uint2*>(to + 4 * i), uint2{pack_bf16(v.v[0], v.v[1]), pack_bf16(v.v[2], v.v[3])});
}

struct Kept {
    const float* from = nullptr;
    int64_t count = 0;
    const bf16* to = nullptr;
};
// Per thread, so that two threads that train in one process need no lock and do not read each other's weights.
thread_local Kept kept;

}  // namespace

const bf16* kept_weights(const par* w, int64_t count) {
    const auto* from = as<float>(w);
    if (!kept.from || from < kept.from) return nullptr;
    const int64_t at = from - kept.from;
    // Kernels copy filters in units of 16 bytes, which begin at multiples of 16 bytes.
    return at + count <= kept.count && at % 8 == 0 ? kept.to + at : nullptr;
}

void round_weights(const par* w, int64_t count, void* to, Stream stream) {
    FP_CHECK(count % 4 == 0, "conv: ", count, " weights to round");
    launch(to_bf16_kernel, flat_grid(count / 4), stream, as<float>(w), static_cast<bf16*>(to), count / 4);
}

void keep_rounded(const par* w, int64_t count, void* rounded, Stream stream) {
    kept = {};
    if (count == 0) return;
    round_weights(w, count, rounded, stream);
    kept = {as<float>(w), count, static_cast<const bf16*>(rounded)};
}

const bf16* rounded_weights(const par* w, int64_t count, void* scratch, Stream stream) {
    if (const bf16* rounded = kept_weights(w, count)) return rounded;
    round_weights(w, count, scratch, stream);
    return static_cast<const bf16*>(scratch);
}

}  // namespace fp::FP_MACHINE
