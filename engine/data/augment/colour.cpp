#include "engine/data/augment/colour.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>
#include <vector>

namespace fp {
namespace {

using Curve = std::array<uint8_t, 256>;  // new value of each old one
using Histogram = std::array<int64_t, 256>;

// Each channel through the curve that `curve_of` makes of its histogram, if it makes one.
template <class CurveOf>
void map_channels(std::span<uint8_t> rgb, const CurveOf& curve_of) {
    for (size_t channel = 0; channel < 3; ++channel) {
        Histogram count{};
        for (size_t i = channel; i < rgb.size(); i += 3) ++count[rgb[i]];
        if (const std::optional<Curve> curve = curve_of(count))
            for (size_t i = channel; i < rgb.size(); i += 3) rgb[i] = (*curve)[rgb[i]];
    }
}

// The lowest and the highest level that occur.
std::pair<int, int> used_levels(const Histogram& count) {
    const auto used = [](int64_t n) { return n != 0; };
    return {int(std::find_if(count.begin(), count.end(), used) - count.begin()),
            255 - int(std::find_if(count.rbegin(), count.rend(), used) - count.rbegin())};
}

uint8_t blend(int plain, int value, float factor) {
    return uint8_t(std::clamp(float(plain) + factor * float(value - plain), 0.0f, 255.0f));
}

void blend_with(int plain, float factor, std::span<uint8_t> rgb) {
    Curve curve;
    for (int v = 0; v < 256; ++v) curve[v] = blend(plain, v, factor);
    for (uint8_t& v : rgb) v = curve[v];
}

// ITU-R 601 luma, in 16 bits of fraction.
int grey(const uint8_t* pixel) { return (pixel[0] * 19595 + pixel[1] * 38470 + pixel[2] * 7471 + 0x8000) >> 16; }

}  // namespace

void brightness(float factor, std::span<uint8_t> rgb) { blend_with(0, factor, rgb); }

void contrast(float factor, std::span<uint8_t> rgb) {
    int64_t sum = 0;
    for (size_t i = 0; i < rgb.size(); i += 3) sum += grey(&rgb[i]);
    const int mean = int(double(sum) / double(rgb.size() / 3) + 0.5);
    blend_with(mean, factor, rgb);
}

void saturation(float factor, std::span<uint8_t> rgb) {
    for (size_t i = 0; i < rgb.size(); i += 3) {
        const int plain = grey(&rgb[i]);
        for (int c = 0; c < 3; ++c) rgb[i + c] = blend(plain, rgb[i + c], factor);
    }
}

// The neighbourhood is the 3 x 3 mean in which the pixel itself counts five times; border pixels keep their own value.
void sharpness(float factor, int width, std::span<uint8_t> rgb) {
    const int row = 3 * width, height = int(rgb.size()) / row;
    static thread_local std::vector<uint8_t> in;
    in.assign(rgb.begin(), rgb.end());
    for (int y = 1; y + 1 < height; ++y)
        for (int x = 3; x < row - 3; ++x) {
            const uint8_t* at = &in[y * row + x];
            const int sum = at[-row - 3] + at[-row] + at[-row + 3] + at[-3] + 5 * at[0] + at[3] + at[row - 3] +
                            at[row] + at[row + 3];
            rgb[y * row + x] = blend((2 * sum + 13) / 26, at[0], factor);
        }
}

void solarize(double threshold, std::span<uint8_t> rgb) {
    for (uint8_t& v : rgb)
        if (v >= threshold) v = uint8_t(255 - v);
}

void posterize(int bits, std::span<uint8_t> rgb) {
    const auto mask = uint8_t(0xFF << (8 - bits));
    for (uint8_t& v : rgb) v &= mask;
}

void autocontrast(std::span<uint8_t> rgb) {
    map_channels(rgb, [](const Histogram& count) -> std::optional<Curve> {
        const auto [low, high] = used_levels(count);
        if (high <= low) return std::nullopt;
        const double scale = 255.0 / (high - low), offset = -low * scale;
        Curve curve;
        for (int v = 0; v < 256; ++v) curve[v] = uint8_t(std::clamp(int(v * scale + offset), 0, 255));
        return curve;
    });
}

void equalize(std::span<uint8_t> rgb) {
    map_channels(rgb, [](const Histogram& count) -> std::optional<Curve> {
        const int64_t pixels = std::accumulate(count.begin(), count.end(), int64_t(0));
        const int64_t step = (pixels - count[used_levels(count).second]) / 255;
        if (step == 0) return std::nullopt;  // as good as one value
        Curve curve;
        int64_t below = step / 2;
        for (int v = 0; v < 256; ++v) {
            curve[v] = uint8_t(std::min<int64_t>(below / step, 255));
            below += count[v];
        }
        return curve;
    });
}

}  // namespace fp
