#include "engine/data/augment/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/data/augment/lanes.h"
#include "kernels/error.h"
#include "kernels/random.h"

namespace fp {
namespace {

constexpr int kFractionBits = 22;
constexpr int32_t kHalf = 1 << (kFractionBits - 1);

// The triangle filter of one axis. Every output takes the same number of input pixels, some with weight 0, so that
// loops over them have one length.
struct Filter {
    int taps;
    std::vector<int> first;        // by output: the input pixel of the first tap
    std::vector<int32_t> weights;  // outputs x taps

    const int32_t* weights_of(int o) const { return &weights[size_t(o) * taps]; }
    // The input pixels that any output needs.
    int begin() const { return first.front(); }
    int end() const { return first.back() + taps; }
};

// For the output pixels [begin, begin + outputs) of `out`.
Filter triangle(int in, int out, int begin, int outputs) {
    const double scale = double(in) / out;
    const double support = std::max(scale, 1.0);
    const int taps = std::min(in, int(std::ceil(2 * support)) + 1);
    Filter filter{taps, std::vector<int>(outputs), std::vector<int32_t>(size_t(taps) * outputs)};
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
        for (int i = 0; i < count; ++i) weight[i] = int32_t(0.5 + exact[i] / sum * (1 << kFractionBits));
    }
    return filter;
}

// Weights are positive and sum to 2^22 but for rounding, so sums need no clamping.
void resize_row(const Filter& filter, int outputs, const int32_t* in, int32_t* out) {
    const int taps = filter.taps;
    for (int o = 0; o < outputs; ++o) {
        const int32_t* at = in + 3 * filter.first[o];
        const int32_t* weight = filter.weights_of(o);
        Ints4 sum = Ints4{} + kHalf;
        for (int i = 0; i < taps; ++i) sum += load<Ints4>(at + 3 * i) * weight[i];
        store(sum >> kFractionBits, out + 3 * o);
    }
}

// One output row of `length` bytes from `taps` rows of `in`.
void mix_rows(int taps, const int32_t* weight, int length, const uint8_t* in, int32_t* sum, uint8_t* out) {
    std::fill_n(sum, length, kHalf);
    for (int i = 0; i < taps; ++i) {
        const uint8_t* row = in + size_t(i) * length;
        for (int x = 0; x < length; ++x) sum[x] += row[x] * weight[i];
    }
    for (int x = 0; x < length; ++x) out[x] = uint8_t(sum[x] >> kFractionBits);
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
    const Filter across = triangle(in.width, full.width, part.left, part.width);
    const Filter down = triangle(in.height, full.height, part.top, part.height);

    const int first_row = down.begin(), rows = down.end() - down.begin();
    const int first_byte = 3 * across.begin(), bytes = 3 * (across.end() - across.begin());
    static thread_local std::vector<uint8_t> narrow_rows;  // those that are needed, resized across
    static thread_local std::vector<int32_t> wide_row, narrow_row;
    narrow_rows.resize(size_t(rows) * out_row);
    wide_row.resize(size_t(in_row) + 1);
    narrow_row.resize(size_t(out_row) + 1);
    int32_t* const wide = wide_row.data();
    int32_t* const narrow = narrow_row.data();
    for (int y = 0; y < rows; ++y) {
        std::copy_n(in.rgb + size_t(first_row + y) * in_row + first_byte, bytes, wide + first_byte);
        resize_row(across, part.width, wide, narrow);
        std::copy_n(narrow, out_row, &narrow_rows[size_t(y) * out_row]);
    }
    for (int y = 0; y < part.height; ++y) {
        const uint8_t* from = &narrow_rows[size_t(down.first[y] - first_row) * out_row];
        mix_rows(down.taps, down.weights_of(y), out_row, from, narrow, rgb + size_t(y) * out_row);
    }
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
