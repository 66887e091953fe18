// Training augmentation of one square image of 8-bit RGB, in place.
//
// Every random choice is keyed by (key, operation), so the result depends neither on the thread nor on which other
// operations are on. AugmentOptions{} changes nothing; operations run in the order of the members.
#pragma once

#include <string>

#include "engine/data/augment/auto_augment.h"
#include "engine/data/augment/resize.h"

namespace fp {

struct AugmentOptions {
    // What is cut from the image, by the image source (resize.h), which has the whole image.
    Crop crop = Crop::centre;
    double least_area = 0.35;  // of Crop::resized

    int shift = 0;  // moved by up to this many pixels each way, black outside (pad and crop)

    double flip_across = 0;  // probability of left for right
    double flip_down = 0;    // probability of top for bottom

    double affine = 0;          // probability of a turn, a scale and a shear of the rows, each uniform in its range;
                                // interpolation nearest, bicubic or bilinear at random, black outside
    double turn_degrees = 180;  // -+
    double least_scale = 0.8, most_scale = 1.2;
    double shear_degrees = 10;  // -+

    double brightness = 0;  // factor uniform in 1 -+ this
    double saturation = 0;  // the same; which of the two comes first is random

    AutoAugment auto_augment = AutoAugment::none;

    double cutout = 0;     // probability of one black square, its centre anywhere, cut off at the border
    int cutout_side = 16;  // pixels

    double erase = 0;  // probability of one black rectangle inside, 2 to 33 % of the area, sides 1:3.3 to 3.3:1
};

// The training recipe of the paper's released code.
AugmentOptions paper_augmentation();

// "none", "flips", "paper", or words with + between: "flips+shift=4+cutout=16". Exit::usage for another word.
AugmentOptions parse_augment(const std::string&);

// `rgb` is side x side x 3; `key` stands for (seed, epoch, sample).
void augment(const AugmentOptions& options, uint64_t key, int side, uint8_t* rgb);

}  // namespace fp
