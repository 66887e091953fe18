#include "engine/data/augment/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/data/augment/lanes.h"
#include "engine/data/augment/resize_across.h"
#include "kernels/error.h"
#include "kernels/random.h"

namespace fp {
namespace {

// For the output pixels [begin, begin + outputs) of `out`. The taps are a multiple of `together`, if the input has as
// many pixels.
ResizeFilter triangle(int in, int out, int begin, int outputs, int together) {
    const double scale = double(in) / out;
    const double support = std::max(scale, 1.0);
    const int reached = int(std::ceil(2 * support)) + 1;
    const int taps = std::min(in, (reached + together - 1) / together * together);
    ResizeFilter filter{taps, std::vector<int>(outputs), std::vector<int32_t>(size_t(taps) * outputs)};
    std::vector<double> exact(taps);
    for (int o = 0; o < outputs; ++o) {
        const double centre = (begin + o + 0.5) * scale;
        const int first = std::max(int(centre - support + 0.5), 0);
        const int count = std::min(int(centre + support + 0.5), in) - first;
        double sum = 0;
        for (int i = 0; i < count; ++i) {
            const double distance = std::abs((first + i - centre + 0.5) * (1.0 / support));
            exact[i] = std::max(0.0, 1.0 - distance);
            sum += exact[i];
        }
        filter.first[o] = std::min(first, in - taps);
        int32_t* weight = &filter.weights[size_t(o) * taps + (first - filter.first[o])];
        for (int i = 0; i < count; ++i) weight[i] = int32_t(0.5 + exact[i] / sum * (1 << kResizeBits));
    }
    return filter;
}

// `length` bytes of each of the filter's rows, of which the first lies at `in`.
FP_AVX2_TOO void resize_down(const ResizeFilter& filter, int outputs, int length, const uint8_t* in, uint8_t* out) {
    static thread_local std::vector<int32_t> sums;
    sums.resize(size_t(length));
    int32_t* const sum = sums.data();
    for (int y = 0; y < outputs; ++y, out += length) {
        const uint8_t* row = in + size_t(filter.first[y] - filter.begin()) * length;
        const int32_t* weight = filter.weights_of(y);
        std::fill_n(sum, length, kResizeHalf);
        for (int i = 0; i < filter.taps; ++i, row += length)
            for (int x = 0; x < length; ++x) sum[x] += row[x] * weight[i];
        for (int x = 0; x < length; ++x) out[x] = uint8_t(sum[x] >> kResizeBits);
    }
}

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

Size fit_short_side(Size in, int side) {
    const auto longer = [&](int64_t l, int64_t s) {
        // As torchvision has it: the quotient in double, cut to an integer.
        const double length = double(side * l) / double(s);
        FP_REQUIRE(length < 1 << 30, Exit::data, "an image of ", l, " x ", s, ": too long to resize");
        return int(length);
    };
    return in.width <= in.height ? Size{side, longer(in.height, in.width)} : Size{longer(in.width, in.height), side};
}

Window centre_window(Size in, int width, int height) {
    FP_CHECK(width <= in.width && height <= in.height, "centre_window: ", width, " x ", height, " of ", in.width, " x ",
             in.height);
    const auto half_to_even = [](int x) { return (x + ((x & 3) == 3)) / 2; };
    return {half_to_even(in.width - width), half_to_even(in.height - height), width, height};
}

void resize(PixelView in, Size full, const Window& part, uint8_t* rgb) {
    FP_CHECK(in.width > 0 && in.height > 0 && part.width > 0 && part.height > 0 && part.left >= 0 && part.top >= 0 &&
                 part.left + part.width <= full.width && part.top + part.height <= full.height,
             "resize: ", in.width, " x ", in.height, " to a part of ", full.width, " x ", full.height);
    const int in_row = 3 * in.width, out_row = 3 * part.width;
    const bool same_width = full.width == in.width, same_height = full.height == in.height;
    if (same_width && same_height) {
        for (int y = 0; y < part.height; ++y)
            std::memcpy(rgb + size_t(y) * out_row, in.rgb + size_t(part.top + y) * in_row + 3 * part.left, out_row);
        return;
    }
    const ResizeFilter across = triangle(in.width, full.width, part.left, part.width, kTapsTogether);
    const ResizeFilter down = triangle(in.height, full.height, part.top, part.height, 1);

    const int rows = down.end() - down.begin();
    static thread_local std::vector<uint8_t> narrow;  // the rows that are needed, resized across
    narrow.resize(size_t(rows) * out_row);
    resize_across(across, part.width, rows, in.rgb + size_t(down.begin()) * in_row, size_t(in_row), narrow.data());
    resize_down(down, part.height, out_row, narrow.data(), rgb);
}

Pixels resize(PixelView in, Size full, const Window& part) {
    Pixels out = black(part.width, part.height);
    resize(in, full, part, out.rgb.data());
    return out;
}

void fit_centre(PixelView in, int side, uint8_t* rgb) {
    const Size full = fit_short_side({in.width, in.height}, side);
    resize(in, full, centre_window(full, side, side), rgb);
}

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
