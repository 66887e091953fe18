// A network's weights in bf16, rounded once a training step instead of by each product that reads them. Does nothing
// where the backend uses weights as they are (Conv::keep_rounded is null).
#pragma once

#include "engine/core/params.h"

namespace fp {

class RoundedWeights {
public:
    explicit RoundedWeights(const ParamStore&);

    // Rounds the weights as they are now. While it lives, the products that this thread starts take these; a change of a
    // weight shows in the next one only. A captured step may hold it: the memory stays where it is. One per thread.
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
