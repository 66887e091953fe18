// From a batch of 8-bit images to the first row of a tape.
#pragma once

#include "engine/data/loader.h"
#include "engine/preprocessing.h"
#include "engine/tape.h"

namespace fp {

class Feed {
public:
    Feed(const Kernels& k, const Preprocessing& p) : kernels_(k), preprocessing_(p) {}

    // All rows of the batch, padding included (its images are black).
    Var operator()(Tape&, const Batch&);

private:
    const Kernels& kernels_;
    Preprocessing preprocessing_;
    Buffer staging_;
};

}  // namespace fp
