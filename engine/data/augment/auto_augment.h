// AutoAugment (Cubuk et al. 2019, https://arxiv.org/abs/1805.09501 ): one of 25 pairs of operations, each done
// with its own probability at its own strength.
//
// Strengths as in the code that the paper's authors used: level m is uniform between the points m and m + 1
// of a grid of 11, so the sign of a rotation or shift belongs to the level and is not drawn; Shear, Translate
// and Rotate use a cubic spline on black ground, and turn about the pixel (side + 1) / 2.
#pragma once

#include <cstdint>

namespace fp {

enum class AutoAugment : uint8_t {
    none,
    cifar10,   // the policy in the released code of the paper
    imagenet,  // the policy that AutoAugment found on ImageNet
};

// One pair on `rgb`, side x side x 3, chosen by `key`.
void auto_augment(AutoAugment policy, uint64_t key, int side, uint8_t* rgb);

enum class PixelOp : uint8_t {
    shear_x,
    shear_y,
    translate_x,
    translate_y,
    rotate,
    autocontrast,
    invert,
    equalize,
    solarize,
    posterize,
    contrast,
    colour,
    brightness,
    sharpness,
};

// What level 0 .. 9 of an operation means; `u` in [0, 1) places it between its two grid points. Shears in
// pixels per pixel, translations in sides, rotations in degrees, the others as colour.h takes them.
double strength(PixelOp op, int level, double u);

void apply(PixelOp op, double strength, int side, uint8_t* rgb);

}  // namespace fp
