#include "engine/core/inference_weights.h"

#include <cmath>

namespace fp {
namespace {

// Copies host values to the device, in the parameter's stored layout and type.
Buffer upload(const Kernels& k, const Filter& f, const std::vector<double>& logical) {
    const int e = bytes_of(k.parameter);
    std::vector<char> host(size_t(f.stored()) * e, 0);
    int64_t i = 0;
    for (int ik = 0; ik < f.k; ++ik)
        for (int c = 0; c < f.c; ++c)
            for (int r = 0; r < f.r; ++r)
                for (int s = 0; s < f.s; ++s, ++i) {
                    const int64_t at = f.at(ik, c, r, s);
                    if (k.parameter == Type::f64)
                        reinterpret_cast<double*>(host.data())[at] = logical[i];
                    else
                        reinterpret_cast<float*>(host.data())[at] = float(logical[i]);
                }
    Buffer out(k.memory, host.size());
    k.memory.copy_in(out.data(), host.data(), host.size(), {});
    k.memory.synchronize({});
    return out;
}

}  // namespace

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
    const ConvShape& shape, const Param& weight, const Param* bias, const Norm* norm, bool residual, bool relu) {
    if (params_.version() != version_) {
        entries_.clear();
        version_ = params_.version();
    }
    const Key key{&weight, shape.x.n, shape.x.h, shape.x.w};
    if (const auto found = entries_.find(key); found != entries_.end()) return found->second;

    const Kernels& k = params_.kernels();
    const FoldedConv conv = fold(params_, weight, bias, norm);
    Entry entry;
    const Buffer stored = upload(k, shape.w, conv.filter);
    entry.bias = upload(k, {.k = shape.w.k, .k_block = k.block(shape.w.k)}, conv.bias);
    const Conv::Fused fused{.residual = residual, .relu = relu};
    entry.filter = Buffer(k.memory, k.conv.prepared_bytes(shape, fused));
    k.conv.prepare(shape, fused, stored.as<par>(), entry.filter.data(), {});
    k.memory.synchronize({});
    return entries_.emplace(key, std::move(entry)).first->second;
}

}  // namespace fp
