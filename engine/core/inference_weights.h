// Weights prepared for inference: the norm that follows a convolution is folded into the convolution's filter and bias, and
// the filter is converted to the layout of the backend's inference kernel. Prepared at the first use of each shape, and
// again after a weight has changed (ParamStore::version).
//
//   w'[k,...] = w[k,...] gamma[k] / sqrt(var[k] + eps)
//   b'[k]     = beta[k] + (b[k] - mean[k]) gamma[k] / sqrt(var[k] + eps)
#pragma once

#include <map>
#include <memory>

#include "engine/core/ops.h"

namespace fp {

// In file order. bias and norm may be null.
struct FoldedConv {
    std::vector<double> filter, bias;
};
FoldedConv fold(const ParamStore&, const Param& weight, const Param* bias, const Norm*);

class FoldedWeights {
public:
    explicit FoldedWeights(const ParamStore& params) : params_(params) {}

    struct Entry {
        Buffer filter;  // as Conv::prepare lays it out
        Buffer bias;
    };
    // norm may be null: the filter alone is prepared.
    const Entry& find(const ConvShape&,
                      const Param& weight,
                      const Param* bias,
                      const Norm* norm,
                      bool residual,
                      bool relu);

private:
    struct Key {
        const Param* weight;
        int n, h, w;
        auto operator<=>(const Key&) const = default;
    };
    const ParamStore& params_;
    int64_t version_ = -1;
    std::map<Key, Entry> entries_;
};

}  // namespace fp
