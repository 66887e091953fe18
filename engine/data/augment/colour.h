// Changes of colour of 8-bit RGB, in place, equal to PIL's (ImageEnhance, ImageOps) byte for byte.
//
// The first four blend an image with a plainer one: out = plain + factor (in - plain), clamped to 0 .. 255. So factor 1
// changes nothing, 0 gives the plainer image, and more than 1 leads away from it.
#pragma once

#include <cstdint>
#include <span>

namespace fp {

void brightness(float factor, std::span<uint8_t> rgb);            // plain: black
void contrast(float factor, std::span<uint8_t> rgb);              // plain: the image's mean grey
void saturation(float factor, std::span<uint8_t> rgb);            // plain: each pixel's grey, .299 R + .587 G + .114 B
void sharpness(float factor, int width, std::span<uint8_t> rgb);  // plain: each pixel's neighbourhood

void solarize(double threshold, std::span<uint8_t> rgb);  // 255 - v from the threshold on, else v
void posterize(int bits, std::span<uint8_t> rgb);         // the upper bits of v
void autocontrast(std::span<uint8_t> rgb);                // each channel's range stretched to 0 .. 255
void equalize(std::span<uint8_t> rgb);                    // each channel's histogram made flat

}  // namespace fp
