#include "engine/data/augment/augment.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <optional>
#include <vector>

#include "engine/data/augment/affine.h"
#include "engine/data/augment/colour.h"
#include "engine/io/columns.h"
#include "kernels/error.h"
#include "kernels/random.h"

namespace fp {
namespace {

// The random numbers of one operation on one image; the value of an enumerator is never reused.
enum Operation : uint64_t { op_shift = 1, op_across, op_down, op_affine, op_colour, op_auto, op_cutout, op_erase };

class Draws {
public:
    Draws(uint64_t key, Operation op) : key_(key_of(key, op)) {}

    bool happens(double probability) { return probability > 0 && unit() < probability; }
    double unit() { return uniform_double(key_, next_++); }
    double within(double low, double high) { return low + (high - low) * unit(); }
    int below(int bound) { return int(uniform_below(bound, key_, next_++)); }

private:
    uint64_t key_, next_ = 0;
};

// out[y][x] = in[y + down][x + right], 0 where there is none.
void shift_image(int right, int down, int side, uint8_t* rgb) {
    const size_t row = size_t(3) * side;
    static thread_local std::vector<uint8_t> in;
    in.assign(rgb, rgb + row * side);
    std::fill_n(rgb, row * side, uint8_t(0));
    const int first = std::max(0, -right), count = side - std::abs(right);
    for (int y = std::max(0, -down); y < std::min(side, side - down); ++y)
        std::memcpy(rgb + y * row + 3 * first, &in[(y + down) * row + 3 * (first + right)], size_t(3) * count);
}

void flip_across(int side, uint8_t* rgb) {
    auto* const pixels = reinterpret_cast<std::array<uint8_t, 3>*>(rgb);
    for (int y = 0; y < side; ++y) std::reverse(pixels + size_t(side) * y, pixels + size_t(side) * (y + 1));
}

void flip_down(int side, uint8_t* rgb) {
    const size_t row = size_t(3) * side;
    for (int y = 0; y < side / 2; ++y) std::swap_ranges(rgb + y * row, rgb + (y + 1) * row, rgb + (side - 1 - y) * row);
}

void affine(const AugmentOptions& options, Draws& draws, int side, uint8_t* rgb) {
    const double turn = draws.within(-options.turn_degrees, options.turn_degrees);
    const double scale = draws.within(options.least_scale, options.most_scale);
    const double shear = draws.within(-options.shear_degrees, options.shear_degrees);
    constexpr Interpolation kinds[] = {Interpolation::nearest, Interpolation::bicubic, Interpolation::bilinear};
    const Affine from = turn_scale_shear(turn, scale, shear, side);
    warp(from, kinds[draws.below(3)], side, rgb);
}

void colour(const AugmentOptions& options, Draws& draws, int side, uint8_t* rgb) {
    const auto factor = [&](double strength) { return float(draws.within(std::max(0.0, 1 - strength), 1 + strength)); };
    const float bright = factor(options.brightness), saturated = factor(options.saturation);
    const bool bright_first = draws.below(2) == 0;
    const std::span<uint8_t> image(rgb, size_t(3) * side * side);
    if (options.brightness > 0 && bright_first) brightness(bright, image);
    if (options.saturation > 0) saturation(saturated, image);
    if (options.brightness > 0 && !bright_first) brightness(bright, image);
}

// Black from (left, top) up to (right, bottom), as far as that is inside.
void blacken(int left, int top, int right, int bottom, int side, uint8_t* rgb) {
    left = std::max(left, 0);
    right = std::min(right, side);
    for (int y = std::max(top, 0); y < std::min(bottom, side); ++y)
        std::fill_n(rgb + 3 * (size_t(y) * side + left), 3 * std::max(right - left, 0), uint8_t(0));
}

void cutout(int length, Draws& draws, int side, uint8_t* rgb) {
    const int x = draws.below(side), y = draws.below(side), half = length / 2;
    blacken(x - half, y - half, x + half, y + half, side, rgb);
}

// As Random Erasing (Zhong et al. 2017, https://arxiv.org/abs/1708.04896 ); nothing if ten rectangles do not fit.
void erase(Draws& draws, int side, uint8_t* rgb) {
    constexpr double kWidest = 3.3;
    for (int attempt = 0; attempt < 10; ++attempt) {
        const double area = draws.within(0.02, 0.33) * side * side;
        const double shape = std::exp(draws.within(-std::log(kWidest), std::log(kWidest)));
        const int width = int(std::lround(std::sqrt(area * shape)));
        const int height = int(std::lround(std::sqrt(area / shape)));
        if (width > side || height > side) continue;
        const int left = draws.below(side - width + 1), top = draws.below(side - height + 1);
        return blacken(left, top, left + width, top + height, side, rgb);
    }
}

}  // namespace

AugmentOptions paper_augmentation() {
    return {.crop = Crop::random,
            .flip_across = 0.5,
            .flip_down = 0.5,
            .affine = 1,
            .brightness = 32.0 / 255,
            .saturation = 0.5,
            .auto_augment = AutoAugment::cifar10,
            .cutout = 1};
}

void augment(const AugmentOptions& options, uint64_t key, int side, uint8_t* rgb) {
    if (options.shift > 0) {
        Draws draws(key, op_shift);
        const int most = std::min(options.shift, side - 1);
        const int right = draws.below(2 * most + 1) - most, down = draws.below(2 * most + 1) - most;
        if (right != 0 || down != 0) shift_image(right, down, side, rgb);
    }
    if (Draws(key, op_across).happens(options.flip_across)) flip_across(side, rgb);
    if (Draws(key, op_down).happens(options.flip_down)) flip_down(side, rgb);
    if (Draws draws(key, op_affine); draws.happens(options.affine)) affine(options, draws, side, rgb);
    if (options.brightness > 0 || options.saturation > 0) {
        Draws draws(key, op_colour);
        colour(options, draws, side, rgb);
    }
    auto_augment(options.auto_augment, key_of(key, op_auto), side, rgb);
    if (Draws draws(key, op_cutout); draws.happens(options.cutout)) cutout(options.cutout_side, draws, side, rgb);
    if (Draws draws(key, op_erase); draws.happens(options.erase)) erase(draws, side, rgb);
}

AugmentOptions parse_augment(const std::string& text) {
    AugmentOptions out;
    for (size_t at = 0, end; at <= text.size(); at = end + 1) {
        end = std::min(text.find('+', at), text.size());
        const std::string word = text.substr(at, end - at), name = word.substr(0, word.find('='));
        std::optional<double> number;
        if (name != word) {
            number = parse_number(std::string_view(word).substr(name.size() + 1));
            FP_REQUIRE(number && *number >= 0 && *number <= 10'000, Exit::usage, "--augment: `", word,
                       "` wants a number from 0 to 10000");
        }
        if (word == "none") continue;
        if (word == "paper") {
            out = paper_augmentation();
        } else if (word == "flips") {
            out.flip_across = out.flip_down = 0.5;
        } else if (word == "crop") {
            out.crop = Crop::random;
        } else if (name == "resized-crop") {
            out.crop = Crop::resized;
            out.least_area = number.value_or(out.least_area);
        } else if (name == "shift" && number) {
            out.shift = int(*number);
        } else if (word == "autoaugment-cifar10") {
            out.auto_augment = AutoAugment::cifar10;
        } else if (word == "autoaugment-imagenet") {
            out.auto_augment = AutoAugment::imagenet;
        } else if (name == "affine") {
            out.affine = number.value_or(1);
        } else if (name == "colour") {
            out.brightness = number.value_or(32.0 / 255);
            out.saturation = number.value_or(0.5);
        } else if (name == "cutout") {
            out.cutout = 1;
            out.cutout_side = int(number.value_or(out.cutout_side));
        } else if (name == "erase") {
            out.erase = number.value_or(0.5);
        } else {
            fail_with(Exit::usage, "--augment: `", word,
                      "` is unknown: none, flips, paper, crop, resized-crop[=AREA], shift=N, affine[=P], colour[=X], "
                      "autoaugment-cifar10, autoaugment-imagenet, cutout[=N], erase[=P], joined by +");
        }
    }
    FP_REQUIRE(std::max({out.affine, out.erase, out.least_area}) <= 1, Exit::usage, "--augment: `", text,
               "`: probabilities and areas are at most 1");
    return out;
}

}  // namespace fp
