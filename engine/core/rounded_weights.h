// A network's weights in bf16, rounded once per training step instead of by each product that reads them. Does nothing
// where the backend reads weights as they are (Conv::keep_rounded is null).
#pragma once

#include "engine/core/params.h"

namespace fp {

class RoundedWeights {
public:
    explicit RoundedWeights(const ParamStore&);

    // Rounds the current weights. During its life the products that this thread starts read the rounded ones; a later
    // change of a weight has no effect until the next InUse. It may be part of a captured step, since its memory does
    // not move. One per thread.
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
