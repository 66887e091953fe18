// Antialiased bilinear resizing of 8-bit RGB, equal to PIL's BILINEAR bit for bit, and which square of an image becomes
// the network's input.
//
//   scale = in / out,  support = max(scale, 1),  centre = (o + 1/2) scale
//   w_i   = max(0, 1 - |i + 1/2 - centre| / support), over the input pixels i there are, divided by their sum
//   out_o = sum_i round(w_i 2^22) in_i, rounded to 8 bits          first along rows, then along columns
#pragma once

#include "engine/data/decode/decode.h"

namespace fp {

struct Size {
    int width = 0, height = 0;
    bool operator==(const Size&) const = default;
};

// A rectangle of an image, in pixels.
struct Window {
    int left = 0, top = 0, width = 0, height = 0;
    bool operator==(const Window&) const = default;
};

// The short side becomes `side`, the long one floor(side long / short), as torchvision's Resize does.
Size fit_short_side(Size in, int side);

// The middle of `in`; half a pixel goes to the even neighbour, as torchvision's CenterCrop does.
Window centre_window(Size in, int width, int height);

// `part` of what `in` resized to `full` would be: part.height x part.width x 3 bytes to `rgb`. The rest of
// the resized image is never computed, so its size costs no memory.
void resize(PixelView in, Size full, const Window& part, uint8_t* rgb);
Pixels resize(PixelView in, Size full, const Window& part);

// The evaluation transform: short side to `side`, then the middle `side` x `side` x 3 bytes to `rgb`.
void fit_centre(PixelView in, int side, uint8_t* rgb);

// Which square of an image becomes the network's input.
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
