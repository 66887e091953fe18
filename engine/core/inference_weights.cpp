#include "engine/core/inference_weights.h"

#include <cmath>

namespace fp {

Folded fold(const ParamStore& params, const Param& weight, const Param* bias, const Norm* norm) {
    const auto filters = size_t(weight.shape.k);
    Folded out{.scale = {}, .bias = bias ? params.get(*bias) : std::vector<double>(filters, 0.0)};
    if (!norm) return out;
    const auto gamma = params.get(*norm->gamma), beta = params.get(*norm->beta);
    const auto mean = params.get(*norm->running_mean), var = params.get(*norm->running_var);
    for (size_t i = 0; i < filters; ++i) {
        const double scale = out.scale.emplace_back(gamma[i] / std::sqrt(var[i] + norm->eps));
        out.bias[i] = beta[i] + (out.bias[i] - mean[i]) * scale;
    }
    return out;
}

const InferenceWeights::Entry& InferenceWeights::find(
    const ConvShape& shape, const Param& weight, const Param* bias, const Norm* norm, const Conv::Fused& fused) {
    if (params_.version() != version_) {
        entries_.clear();
        version_ = params_.version();
    }
    const Key key{&weight, shape.x.n, shape.x.h, shape.x.w};
    if (const auto found = entries_.find(key); found != entries_.end()) return found->second;

    const Kernels& k = params_.kernels();
    const Folded folded = fold(params_, weight, bias, norm);
    const par* const filter = norm ? scaled_block(k, weight, folded.scale, scaled_) : weight.value;
    Entry entry;
    entry.bias = parameter_block(k, {.k = shape.w.k, .k_block = k.block(shape.w.k)}, folded.bias);
    entry.filter = Buffer(k.memory, k.conv.prepared_bytes(shape, fused));
    k.conv.prepare(shape, fused, filter, entry.filter.data(), {});
    k.memory.synchronize({});
    return entries_.emplace(key, std::move(entry)).first->second;
}

}  // namespace fp
