// Sizes and colours of the images of a split.
#pragma once

#include <array>
#include <cstdint>
#include <functional>

#include "engine/data/dataset.h"
#include "engine/data/decode/decode.h"

namespace fp {

struct PixelStats {
    int64_t images = 0;  // that could be read
    int64_t bad = 0;     // that could not
    int least_width = 0, most_width = 0, least_height = 0, most_height = 0;
    std::array<double, 3> mean{}, std{};  // of red, green, blue in [0,1], every pixel counting once
};

// Every pixel of every image at its own size. Sums are of whole numbers, so the order does not matter.
PixelStats measure_pixels(const Dataset&,
                          Split,
                          int threads = 0,
                          const DecodeOptions& decode = {},
                          const std::function<void(int64_t done)>& progress = nullptr);

}  // namespace fp
