#include "engine/data/augment/auto_augment.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <vector>

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

// The ends of an operation's grid.
std::pair<double, double> range(PixelOp op) {
    switch (op) {
        case PixelOp::shear_x:
        case PixelOp::shear_y:
            return {-0.3, 0.3};
        case PixelOp::translate_x:
        case PixelOp::translate_y:
            return {-150.0 / 331, 150.0 / 331};
        case PixelOp::rotate:
            return {-30, 30};
        case PixelOp::solarize:
            return {0, 256};
        case PixelOp::posterize:
            return {4, 8};
        case PixelOp::contrast:
        case PixelOp::colour:
        case PixelOp::brightness:
        case PixelOp::sharpness:
            return {0.1, 1.9};
        case PixelOp::autocontrast:
        case PixelOp::invert:
        case PixelOp::equalize:
            break;
    }
    return {0, 0};
}

// In their code the first axis of the matrix is the image's rows, so `shear_x` moves pixels down and up.
Affine geometry(PixelOp op, double strength, int side) {
    Affine from;
    const double angle = strength * std::numbers::pi / 180;
    switch (op) {
        case PixelOp::shear_x:
            from.yx = strength;
            break;
        case PixelOp::shear_y:
            from.xy = strength;
            break;
        case PixelOp::translate_x:
            from.x0 = strength * side;
            break;
        case PixelOp::translate_y:
            from.y0 = strength * side;
            break;
        case PixelOp::rotate:
            from.xx = from.yy = std::cos(angle);
            from.xy = std::sin(angle);
            from.yx = -std::sin(angle);
            break;
        default:
            break;
    }
    const double middle = side / 2.0 + 0.5;
    from.x0 += middle - from.xx * middle - from.xy * middle;
    from.y0 += middle - from.yx * middle - from.yy * middle;
    return from;
}

}  // namespace

double strength(PixelOp op, int level, double u) {
    const auto [low, high] = range(op);
    const double step = (high - low) / 10;
    return low + step * (level + u);
}

void apply(PixelOp op, double strength, int side, uint8_t* rgb) {
    const std::span<uint8_t> image(rgb, size_t(3) * side * side);
    switch (op) {
        case PixelOp::shear_x:
        case PixelOp::shear_y:
        case PixelOp::translate_x:
        case PixelOp::translate_y:
        case PixelOp::rotate: {
            static thread_local std::vector<uint8_t> in;
            in.assign(image.begin(), image.end());
            return warp_spline(geometry(op, strength, side), side, in.data(), rgb);
        }
        case PixelOp::autocontrast:
            return autocontrast(image);
        case PixelOp::invert:
            return invert(image);
        case PixelOp::equalize:
            return equalize(image);
        case PixelOp::solarize:
            return solarize(strength, image);
        case PixelOp::posterize:
            return posterize(int(std::lround(strength)), image);
        case PixelOp::contrast:
            return contrast(float(strength), image);
        case PixelOp::colour:
            return saturation(float(strength), image);
        case PixelOp::brightness:
            return brightness(float(strength), image);
        case PixelOp::sharpness:
            return sharpness(float(strength), side, image);
    }
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
