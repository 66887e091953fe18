// Training augmentation of one square image of 8-bit RGB, in place.
//
// Every random choice is keyed by (key, operation), so the result depends on neither the thread nor what
// was switched on before it. Off by default: AugmentOptions{} changes nothing.
#pragma once

#include "engine/data/crop.h"

namespace fp {

struct AugmentOptions {
    // What is cut from the image, before anything else; done by the image source (crop.h).
    Crop crop = Crop::centre;
    double least_area = 0.35;  // of Crop::resized

    int shift = 0;  // moved by up to this many pixels each way, black behind (pad and crop)
    double flip_across = 0;  // probability of left for right
    double flip_down = 0;    // probability of top for bottom
};

// `rgb` is side x side x 3; `key` stands for (seed, epoch, sample).
void augment(const AugmentOptions& options, uint64_t key, int side, uint8_t* rgb);

}  // namespace fp
