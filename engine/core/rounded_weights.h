// A network's weights in bf16, rounded once per training step instead of by each convolution and linear layer that reads
// them. Does nothing on a backend that uses weights as they are (Conv::keep_rounded is null).
#pragma once

#include "engine/core/params.h"

namespace fp {

class RoundedWeights {
public:
    explicit RoundedWeights(const ParamStore&);

    // Rounds the current weights. During its lifetime, convolutions and linear layers that this thread starts read the
    // rounded values; a later change of a weight takes effect only with the next InUse. A captured step may contain it,
    // since the memory does not move. At most one per thread.
    class InUse {
    public:
        explicit InUse(const RoundedWeights&);
        ~InUse();
        InUse(const InUse&) = delete;
        InUse& operator=(const InUse&) = delete;

    private:
        const Conv& conv_;
    };
    size_t bytes() const { return memory_.bytes(); }

private:
    const ParamStore& params_;
    Buffer memory_;
};

}  // namespace fp
