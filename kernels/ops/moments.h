// Partial batch statistics, written by a convolution for the batch norm that follows it, which then does not read the
// convolution's output for them. The kernel divides the pixels of its output into parts. Of each part there are, per
// stored channel, the mean and the sum of squared deviations from it, of the values as stored, and the number of
// pixels. float32: [part][mean, squares][c], then [part] counts. Which pixels are in which part is the kernel's choice;
// it follows from the shape alone. Part 0 is never empty.
#pragma once

#include <cstddef>

#include "kernels/shapes.h"

namespace fp {

struct Moments {
    void* data = nullptr;
    int parts = 0;

    static constexpr size_t bytes(const Map& m, int parts) {
        return size_t(parts) * (2 * size_t(m.stored_c()) + 1) * sizeof(float);
    }
    // The number of pixels in each part.
    float* counts(const Map& m) const { return static_cast<float*>(data) + 2 * size_t(parts) * size_t(m.stored_c()); }
};

}  // namespace fp
