#include "engine/data/augment/auto_augment.h"

#include <array>
#include <cmath>
#include <numbers>
#include <span>

#include "engine/data/augment/affine.h"
#include "engine/data/augment/colour.h"
#include "kernels/random.h"

namespace fp {
namespace {

struct Step {
    PixelOp op;
    double probability;
    int level = 0;  // of operations that have a strength
};
using Pair = std::array<Step, 2>;
using Pairs = std::array<Pair, 25>;

constexpr Pairs cifar10 = [] {
    using enum PixelOp;
    return Pairs{{{{{invert, 0.1}, {contrast, 0.2, 6}}},          {{{rotate, 0.7, 2}, {translate_x, 0.3, 9}}},
                  {{{sharpness, 0.8, 1}, {sharpness, 0.9, 3}}},   {{{shear_y, 0.5, 8}, {translate_y, 0.7, 9}}},
                  {{{autocontrast, 0.5}, {equalize, 0.9}}},       {{{shear_y, 0.2, 7}, {posterize, 0.3, 7}}},
                  {{{colour, 0.4, 3}, {brightness, 0.6, 7}}},     {{{sharpness, 0.3, 9}, {brightness, 0.7, 9}}},
                  {{{equalize, 0.6}, {equalize, 0.5}}},           {{{contrast, 0.6, 7}, {sharpness, 0.6, 5}}},
                  {{{colour, 0.7, 7}, {translate_x, 0.5, 8}}},    {{{equalize, 0.3}, {autocontrast, 0.4}}},
                  {{{translate_y, 0.4, 3}, {sharpness, 0.2, 6}}}, {{{brightness, 0.9, 6}, {colour, 0.2, 8}}},
                  {{{solarize, 0.5, 2}, {invert, 0.0}}},          {{{equalize, 0.2}, {autocontrast, 0.6}}},
                  {{{equalize, 0.2}, {equalize, 0.6}}},           {{{colour, 0.9, 9}, {equalize, 0.6}}},
                  {{{autocontrast, 0.8}, {solarize, 0.2, 8}}},    {{{brightness, 0.1, 3}, {colour, 0.7, 0}}},
                  {{{solarize, 0.4, 5}, {autocontrast, 0.9}}},    {{{translate_y, 0.9, 9}, {translate_y, 0.7, 9}}},
                  {{{autocontrast, 0.9}, {solarize, 0.8, 3}}},    {{{equalize, 0.8}, {invert, 0.1}}},
                  {{{translate_y, 0.7, 9}, {autocontrast, 0.9}}}}};
}();

constexpr Pairs imagenet = [] {
    using enum PixelOp;
    return Pairs{{{{{posterize, 0.4, 8}, {rotate, 0.6, 9}}}, {{{solarize, 0.6, 5}, {autocontrast, 0.6}}},
                  {{{equalize, 0.8}, {equalize, 0.6}}},      {{{posterize, 0.6, 7}, {posterize, 0.6, 6}}},
                  {{{equalize, 0.4}, {solarize, 0.2, 4}}},   {{{equalize, 0.4}, {rotate, 0.8, 8}}},
                  {{{solarize, 0.6, 3}, {equalize, 0.6}}},   {{{posterize, 0.8, 5}, {equalize, 1.0}}},
                  {{{rotate, 0.2, 3}, {solarize, 0.6, 8}}},  {{{equalize, 0.6}, {posterize, 0.4, 6}}},
                  {{{rotate, 0.8, 8}, {colour, 0.4, 0}}},    {{{rotate, 0.4, 9}, {equalize, 0.6}}},
                  {{{equalize, 0.0}, {equalize, 0.8}}},      {{{invert, 0.6}, {equalize, 1.0}}},
                  {{{colour, 0.6, 4}, {contrast, 1.0, 8}}},  {{{rotate, 0.8, 8}, {colour, 1.0, 2}}},
                  {{{colour, 0.8, 8}, {solarize, 0.8, 7}}},  {{{sharpness, 0.4, 7}, {invert, 0.6}}},
                  {{{shear_x, 0.6, 5}, {equalize, 1.0}}},    {{{colour, 0.4, 0}, {equalize, 0.6}}},
                  {{{equalize, 0.4}, {solarize, 0.2, 4}}},   {{{solarize, 0.6, 5}, {autocontrast, 0.6}}},
                  {{{invert, 0.6}, {equalize, 1.0}}},        {{{colour, 0.6, 4}, {contrast, 1.0, 8}}},
                  {{{equalize, 0.8}, {equalize, 0.6}}}}};
}();

using Rgb = std::span<uint8_t>;

// `from` about the pixel (side + 1) / 2.
void warp_about_middle(const Affine& from, int side, Rgb rgb) {
    warp_spline(about(side / 2.0 + 0.5, from), side, rgb.data());
}

void rotate(double degrees, int side, Rgb rgb) {
    const double angle = degrees * std::numbers::pi / 180, c = std::cos(angle), s = std::sin(angle);
    warp_about_middle({.xx = c, .xy = s, .yx = -s, .yy = c}, side, rgb);
}

struct Meaning {
    double low, high;  // the ends of its grid
    void (*apply)(double strength, int side, Rgb rgb);
};

// In the order of PixelOp. In their code the first axis of the matrix is the image's rows, so `shear_x` moves pixels
// down and up.
constexpr Meaning kMeanings[] = {
    {-0.3, 0.3, [](double s, int side, Rgb rgb) { warp_about_middle({.yx = s}, side, rgb); }},
    {-0.3, 0.3, [](double s, int side, Rgb rgb) { warp_about_middle({.xy = s}, side, rgb); }},
    {-150.0 / 331, 150.0 / 331, [](double s, int side, Rgb rgb) { warp_about_middle({.x0 = s * side}, side, rgb); }},
    {-150.0 / 331, 150.0 / 331, [](double s, int side, Rgb rgb) { warp_about_middle({.y0 = s * side}, side, rgb); }},
    {-30, 30, rotate},
    {0, 0, [](double, int, Rgb rgb) { autocontrast(rgb); }},
    {0, 0, [](double, int, Rgb rgb) { solarize(0, rgb); }},
    {0, 0, [](double, int, Rgb rgb) { equalize(rgb); }},
    {0, 256, [](double s, int, Rgb rgb) { solarize(s, rgb); }},
    {4, 8, [](double s, int, Rgb rgb) { posterize(int(std::lround(s)), rgb); }},
    {0.1, 1.9, [](double s, int, Rgb rgb) { contrast(float(s), rgb); }},
    {0.1, 1.9, [](double s, int, Rgb rgb) { saturation(float(s), rgb); }},
    {0.1, 1.9, [](double s, int, Rgb rgb) { brightness(float(s), rgb); }},
    {0.1, 1.9, [](double s, int side, Rgb rgb) { sharpness(float(s), side, rgb); }},
};
static_assert(std::size(kMeanings) == size_t(PixelOp::sharpness) + 1);

}  // namespace

double strength(PixelOp op, int level, double u) {
    const auto& [low, high, apply] = kMeanings[size_t(op)];
    return low + (high - low) / 10 * (level + u);
}

void apply(PixelOp op, double strength, int side, uint8_t* rgb) {
    kMeanings[size_t(op)].apply(strength, side, {rgb, size_t(3) * side * side});
}

void auto_augment(AutoAugment policy, uint64_t key, int side, uint8_t* rgb) {
    if (policy == AutoAugment::none) return;
    const Pairs& pairs = policy == AutoAugment::cifar10 ? cifar10 : imagenet;
    const Pair& pair = pairs[uniform_below(pairs.size(), key, 0)];
    for (int i = 0; i < 2; ++i) {
        const Step& step = pair[i];
        if (uniform_double(key, 1 + i, 0) >= step.probability) continue;
        apply(step.op, strength(step.op, step.level, uniform_double(key, 1 + i, 1)), side, rgb);
    }
}

}  // namespace fp
