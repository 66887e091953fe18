#include "engine/core/inference_weights.h"

#include <cmath>

namespace fp {

FoldedConv fold(const ParamStore& params, const Param& weight, const Param* bias, const Norm* norm) {
    FoldedConv out{.filter = params.get(weight),
                   .bias = bias ? params.get(*bias) : std::vector<double>(weight.shape.k, 0.0)};
    if (!norm) return out;
    const auto gamma = params.get(*norm->gamma), beta = params.get(*norm->beta);
    const auto mean = params.get(*norm->running_mean), var = params.get(*norm->running_var);
    const int64_t row = weight.count() / weight.shape.k;
    for (int i = 0; i < weight.shape.k; ++i) {
        const double scale = gamma[i] / std::sqrt(var[i] + norm->eps);
        for (int64_t j = 0; j < row; ++j) out.filter[i * row + j] *= scale;
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
    const FoldedConv conv = fold(params_, weight, bias, norm);
    Entry entry;
    const Buffer stored = parameter_block(k, shape.w, conv.filter);
    entry.bias = parameter_block(k, {.k = shape.w.k, .k_block = k.block(shape.w.k)}, conv.bias);
    entry.filter = Buffer(k.memory, k.conv.prepared_bytes(shape, fused));
    k.conv.prepare(shape, fused, stored.as<par>(), entry.filter.data(), {});
    k.memory.synchronize({});
    return entries_.emplace(key, std::move(entry)).first->second;
}

}  // namespace fp
