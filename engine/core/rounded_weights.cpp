#include "engine/core/rounded_weights.h"

namespace fp {

RoundedWeights::RoundedWeights(const ParamStore& params) : params_(params) {
    const Kernels& k = params.kernels();
    if (k.conv.keep_rounded) memory_ = Buffer(k.memory, size_t(params.trained_count()) * size_t(bytes_of(Type::bf16)));
}

RoundedWeights::InUse::InUse(const RoundedWeights& weights) : conv_(weights.params_.kernels().conv) {
    const ParamStore& p = weights.params_;
    if (conv_.keep_rounded) conv_.keep_rounded(p.values(), p.trained_count(), weights.memory_.data(), {});
}

RoundedWeights::InUse::~InUse() {
    if (conv_.keep_rounded) conv_.keep_rounded(nullptr, 0, nullptr, {});
}

}  // namespace fp
