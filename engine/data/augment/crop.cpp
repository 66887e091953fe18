#include "engine/data/augment/crop.h"

#include <cmath>

#include "kernels/random.h"

namespace fp {
namespace {

// A rectangle with an area share uniform in [least_area, 1] and a shape (width / height) log-uniform in
// [3/4, 4/3]; after ten that do not fit, the largest middle one with a shape in that range.
Window random_rectangle(Size in, const View& view) {
    constexpr double kWidest = 4.0 / 3.0;
    const double area = double(in.width) * in.height;
    for (int attempt = 0; attempt < 10; ++attempt) {
        const auto draw = [&](int i) { return uniform_double(view.key, attempt, i); };
        const double share = area * (view.least_area + (1 - view.least_area) * draw(0));
        const double shape = std::exp(std::log(kWidest) * (2 * draw(1) - 1));
        const int width = int(std::lround(std::sqrt(share * shape)));
        const int height = int(std::lround(std::sqrt(share / shape)));
        if (width < 1 || height < 1 || width > in.width || height > in.height) continue;
        return {int(draw(2) * (in.width - width + 1)), int(draw(3) * (in.height - height + 1)), width, height};
    }
    const int width = std::min(in.width, int(std::lround(in.height * kWidest)));
    const int height = std::min(in.height, int(std::lround(in.width * kWidest)));
    return centre_window(in, width, height);
}

}  // namespace

void crop(PixelView image, const View& view, int side, uint8_t* rgb) {
    const Size in{image.width, image.height};
    switch (view.crop) {
        case Crop::centre:
            return fit_centre(image, side, rgb);
        case Crop::random: {
            const Size full = fit_short_side(in, side);
            const int left = int(uniform_below(full.width - side + 1, view.key, 0));
            const int top = int(uniform_below(full.height - side + 1, view.key, 1));
            return resize(image, full, {left, top, side, side}, rgb);
        }
        case Crop::resized:
            return resize(resize(image, in, random_rectangle(in, view)), {side, side}, {0, 0, side, side}, rgb);
    }
}

}  // namespace fp
