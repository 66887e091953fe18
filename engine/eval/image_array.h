// The run of a network over images that lie in memory, as arrays of their final size.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/core/session.h"
#include "engine/data/preprocessing.h"
#include "engine/io/steps.h"

namespace fp {

// Images of Preprocessing::image_size, as bytes or as numbers; one of the two pointers is null.
struct ImageArray {
    int64_t n = 0;
    const uint8_t* rgb = nullptr;   // (n, size, size, 3)
    const float* planes = nullptr;  // (n, 3, size, size), in [0, 1]
};

enum class Output { logits, probabilities };

struct ArrayPass {
    Session& session;
    const Preprocessing& preprocessing;  // the mean is subtracted, and the deviation divides
    ImageArray images;
    Output output = Output::probabilities;
    int batch_size = 32;
    Steps progress = {};  // after each batch; what it throws ends the pass
};

// (n, classes), row by row: for bytes what predict() computes of the same pixels.
std::vector<float> run(const ArrayPass&);

}  // namespace fp
