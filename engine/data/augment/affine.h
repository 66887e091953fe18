// Affine maps of square 8-bit RGB images, black outside the input.
#pragma once

#include <cstdint>

namespace fp {

// Where an output position (x, y) comes from: (xx x + xy y + x0, yx x + yy y + y0).
struct Affine {
    double xx = 1, xy = 0, x0 = 0;
    double yx = 0, yy = 1, y0 = 0;
};

enum class Interpolation { nearest, bilinear, bicubic };

// The map applied about the point (middle, middle).
Affine about(double middle, Affine from);

// The image is scaled, its rows sheared by `shear_degrees`, then turned clockwise by `degrees`, about its
// middle; in pixels whose centres lie at halves. torchvision's RandomAffine for these numbers.
Affine turn_scale_shear(double degrees, double scale, double shear_degrees, int side);

// Both in place; `rgb` is side x side x 3.
//
// Pixel centres at halves, as PIL's Image.transform (byte for byte).
void warp(const Affine& from, Interpolation, int side, uint8_t* rgb);

// Pixel centres at whole numbers, cubic B-spline through the pixels, as scipy.ndimage.affine_transform
// (within one level: it computes in double).
void warp_spline(const Affine& from, int side, uint8_t* rgb);

}  // namespace fp
