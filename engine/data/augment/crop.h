// Which square of an image becomes the network's input.
#pragma once

#include "engine/data/augment/resize.h"

namespace fp {

enum class Crop : uint8_t {
    centre,   // evaluation: short side to the size, the middle
    random,   // the paper's training: short side to the size, any square along the long side
    resized,  // a rectangle of random area, shape and place, resized to the square (torchvision's RandomResizedCrop)
};

struct View {
    Crop crop = Crop::centre;
    double least_area = 0.35;  // of `resized`: the smallest share of the image's area, 0 < a <= 1
    uint64_t key = 0;          // of the random ones: the same key cuts the same rectangle
};

// side x side x 3 bytes to `rgb`.
void crop(PixelView image, const View& view, int side, uint8_t* rgb);

}  // namespace fp
