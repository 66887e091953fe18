// Weights for inference: the norm behind a convolution is folded into its filter and bias, and the filter has the
// layout of the backend's inference kernel. Computed at first use for each shape, and again when a weight has changed
// (ParamStore::version).
//
//   w'[k,...] = w[k,...] gamma[k] / sqrt(var[k] + eps)
//   b'[k]     = beta[k] + (b[k] - mean[k]) gamma[k] / sqrt(var[k] + eps)
#pragma once

#include <map>

#include "engine/core/ops.h"

namespace fp {

// By filter: the factor of its weights, none without a norm, and the bias. bias and norm may be null.
struct Folded {
    std::vector<double> scale, bias;
};
Folded fold(const ParamStore&, const Param& weight, const Param* bias, const Norm*);

class InferenceWeights {
public:
    explicit InferenceWeights(const ParamStore& params) : params_(params) {}

    struct Entry {
        Buffer filter;  // in the layout of Conv::prepare
        Buffer bias;
    };
    // norm may be null: the filter alone is prepared.
    const Entry& find(const ConvShape&, const Param& weight, const Param* bias, const Norm* norm, const Conv::Fused&);

private:
    struct Key {
        const Param* weight;
        int n, h, w;
        auto operator<=>(const Key&) const = default;
    };
    const ParamStore& params_;
    int64_t version_ = -1;
    std::map<Key, Entry> entries_;
    Buffer scaled_;  // the filter that is being prepared
};

}  // namespace fp
