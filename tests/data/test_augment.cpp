#include "engine/data/augment/augment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "engine/data/augment/affine.h"
#include "engine/data/augment/colour.h"
#include "engine/io/csv.h"
#include "engine/io/hash.h"
#include "kernels/random.h"
#include "tests/expect_error.h"
#include "tests/source_dir.h"

namespace fp {
namespace {

using Image = std::vector<uint8_t>;

// The image of augment_pil.py.
Image formula_image(int variant, int side) {
    const auto value = [&](int64_t x, int64_t y, int64_t c) -> int64_t {
        if (variant == 1) return 90 + 7 * c + (x * 5 + y * 3) % 40;
        if (variant == 2) return 20 + 200 * ((x * y) % 2) + c;
        if (variant == 3) return 50 + 60 * c;
        if ((x / 5 + y / 3) % 4 == 0) return 255 * ((x + c) % 2);
        return (x * x * 3 + y * 29 + x * y * (c + 1) + 71 * c + (x * 7919 + y * 104729) % 97) % 256;
    };
    Image out;
    for (int y = 0; y < side; ++y)
        for (int x = 0; x < side; ++x)
            for (int c = 0; c < 3; ++c) out.push_back(uint8_t(value(x, y, c)));
    return out;
}

Image noise(int side, uint64_t key) {
    Image out(size_t(3) * side * side);
    for (size_t i = 0; i < out.size(); ++i) out[i] = uint8_t(philox(key, i).word[0]);
    return out;
}

std::vector<double> numbers(const std::string& cell) {
    std::vector<double> out;
    std::istringstream in(cell);
    for (std::string part; std::getline(in, part, ';');) out.push_back(std::stod(part));
    return out;
}

void run(const std::string& op, const std::vector<double>& p, int side, Image& image) {
    static constexpr std::string_view kPixelOps[] = {
        "shear_x",  "shear_y",  "translate_x", "translate_y", "rotate", "autocontrast", "invert",
        "equalize", "solarize", "posterize",   "contrast",    "colour", "brightness",   "sharpness"};
    static constexpr std::string_view kInterpolations[] = {"nearest", "bilinear", "bicubic"};
    if (const auto how = std::ranges::find(kInterpolations, op); how != std::end(kInterpolations))
        return warp(turn_scale_shear(p[0], p[1], p[2], side), Interpolation(how - kInterpolations), side, image.data());
    const auto found = std::ranges::find(kPixelOps, op);
    ASSERT_NE(found, std::end(kPixelOps)) << op;
    apply(PixelOp(found - kPixelOps), p.empty() ? 0 : p[0], side, image.data());
}

TEST(PixelOps, EqualPilAndScipy) {
    const Table table = read_csv(source_dir() / "tests" / "data" / "augment_pil.csv");
    ASSERT_GE(table.rows.size(), 100u);
    for (const std::vector<std::string> row : table.rows) {
        SCOPED_TRACE(row[0] + " " + row[3] + " of image " + row[1]);
        const int side = std::stoi(row[2]);
        Image image = formula_image(std::stoi(row[1]), side);
        run(row[0], numbers(row[3]), side, image);
        const std::string& want = row[4];
        if (want.size() == 32) {  // PIL: exact
            EXPECT_EQ(xxh3(std::as_bytes(std::span(image))), want);
            continue;
        }
        ASSERT_EQ(want.size(), 2 * image.size());
        int differ = 0;
        for (size_t i = 0; i < image.size(); ++i) {
            const int value = std::stoi(want.substr(2 * i, 2), nullptr, 16);
            ASSERT_NEAR(image[i], value, 1) << "byte " << i;
            differ += image[i] != value;
        }
        EXPECT_LE(differ, 2);  // ties that fall the other way in float
    }
}

TEST(AutoAugment, StrengthsAreUniformBetweenGridPoints) {
    EXPECT_DOUBLE_EQ(strength(PixelOp::rotate, 0, 0), -30);
    EXPECT_DOUBLE_EQ(strength(PixelOp::rotate, 4, 0.5), -3);
    EXPECT_DOUBLE_EQ(strength(PixelOp::rotate, 9, 1), 30);
    EXPECT_DOUBLE_EQ(strength(PixelOp::posterize, 5, 0), 6);
    EXPECT_DOUBLE_EQ(strength(PixelOp::solarize, 5, 0), 128);
    EXPECT_DOUBLE_EQ(strength(PixelOp::colour, 5, 0), 1);
    EXPECT_DOUBLE_EQ(strength(PixelOp::translate_x, 9, 1), 150.0 / 331);
}

TEST(AutoAugment, UsesManyOperationsAndRepeats) {
    for (const AutoAugment policy : {AutoAugment::cifar10, AutoAugment::imagenet}) {
        std::set<std::string> results;
        for (uint64_t key = 0; key < 300; ++key) {
            Image one = noise(17, 1), two = one;
            auto_augment(policy, key, 17, one.data());
            auto_augment(policy, key, 17, two.data());
            EXPECT_EQ(one, two);
            results.emplace(one.begin(), one.end());
        }
        EXPECT_GT(results.size(), 60u);
    }
    Image image = noise(9, 1);
    auto_augment(AutoAugment::none, 3, 9, image.data());
    EXPECT_EQ(image, noise(9, 1));
}

TEST(Augment, NothingAskedChangesNothing) {
    Image image = noise(13, 2);
    augment({}, 5, 13, image.data());
    EXPECT_EQ(image, noise(13, 2));
}

Image augmented(const AugmentOptions& options, uint64_t key, int side, const Image& in) {
    Image out = in;
    augment(options, key, side, out.data());
    return out;
}

TEST(Augment, ReadsItsWords) {
    const AugmentOptions o = parse_augment("flips+shift=4+resized-crop=0.2+cutout=8+erase");
    EXPECT_EQ(o.flip_across, 0.5);
    EXPECT_EQ(o.shift, 4);
    EXPECT_EQ(o.crop, Crop::resized);
    EXPECT_EQ(o.least_area, 0.2);
    EXPECT_EQ(o.cutout_side, 8);
    EXPECT_EQ(o.erase, 0.5);
    EXPECT_EQ(parse_augment("colour=0.1").saturation, 0.1);
    EXPECT_EQ(parse_augment("paper").auto_augment, AutoAugment::cifar10);
    for (const char* bad :
         {"", "flip", "flips=2", "shift", "shift=x", "affine=-1", "none+", "erase=1x", "erase=2", "shift=1e99"})
        testing::expect_error(
            Exit::usage, [&] { parse_augment(bad); }, "--augment");
}

TEST(Augment, Flips) {
    const Image in = noise(3, 3);
    Image across = in, down = in;
    for (int y = 0; y < 3; ++y)
        for (int x = 0; x < 9; ++x) {
            across[9 * y + x] = in[9 * y + 3 * (2 - x / 3) + x % 3];
            down[9 * y + x] = in[9 * (2 - y) + x];
        }
    EXPECT_EQ(augmented({.flip_across = 1}, 1, 3, in), across);
    EXPECT_EQ(augmented({.flip_down = 1}, 1, 3, in), down);
    int flips = 0;
    for (uint64_t key = 0; key < 2000; ++key) flips += augmented({.flip_across = 0.25}, key, 3, in) == across;
    EXPECT_NEAR(flips, 500, 80);  // 4 standard deviations
}

TEST(Augment, ShiftMovesAndFillsWithBlack) {
    const int side = 5, row = 3 * side;
    const Image in = noise(side, 4);
    std::set<std::pair<int, int>> seen;
    for (uint64_t key = 0; key < 200; ++key) {
        const Image out = augmented({.shift = 1}, key, side, in);
        for (int down = -1; down <= 1; ++down)
            for (int right = -1; right <= 1; ++right) {
                Image want(in.size(), 0);
                for (int y = 0; y < side; ++y)
                    for (int x = 0; x < side; ++x) {
                        const int from_y = y + down, from_x = x + right;
                        if (from_y < 0 || from_y >= side || from_x < 0 || from_x >= side) continue;
                        for (int c = 0; c < 3; ++c) want[row * y + 3 * x + c] = in[row * from_y + 3 * from_x + c];
                    }
                if (out == want) seen.emplace(right, down);
            }
    }
    EXPECT_EQ(seen.size(), 9u);
}

// A switch must not change what the others draw.
TEST(Augment, OperationsDrawIndependently) {
    const Image in = noise(16, 5);
    for (uint64_t key = 0; key < 20; ++key) {
        const Image both = augmented({.flip_across = 0.5, .cutout = 1, .cutout_side = 6}, key, 16, in);
        const Image flip = augmented({.flip_across = 0.5}, key, 16, in);
        EXPECT_EQ(both, augmented({.cutout = 1, .cutout_side = 6}, key, 16, flip));
    }
}

int black_pixels(const Image& image) {
    int n = 0;
    for (size_t i = 0; i < image.size(); i += 3) n += image[i] == 0 && image[i + 1] == 0 && image[i + 2] == 0;
    return n;
}

TEST(Augment, CutoutAndErase) {
    const Image in(3 * 20 * 20, 200);
    std::set<int> cut, erased;
    for (uint64_t key = 0; key < 400; ++key) {
        cut.insert(black_pixels(augmented({.cutout = 1, .cutout_side = 6}, key, 20, in)));
        erased.insert(black_pixels(augmented({.erase = 1}, key, 20, in)));
    }
    EXPECT_EQ(*cut.begin(), 9);    // a corner
    EXPECT_EQ(*cut.rbegin(), 36);  // all of it
    EXPECT_GE(*erased.begin(), 4);
    EXPECT_LE(*erased.rbegin(), 150);
    EXPECT_GT(erased.size(), 20u);
}

TEST(Augment, BrightnessAndSaturationKeepTheirRange) {
    const Image grey(3 * 8 * 8, 100);
    std::set<int> values;
    for (uint64_t key = 0; key < 500; ++key) {
        EXPECT_EQ(augmented({.saturation = 0.5}, key, 8, grey), grey);  // grey has none
        values.insert(augmented({.brightness = 0.2}, key, 8, grey)[0]);
    }
    EXPECT_GE(*values.begin(), 79);
    EXPECT_LE(*values.rbegin(), 120);
    EXPECT_GT(values.size(), 30u);
}

TEST(Augment, WholeRecipeRepeatsAndVaries) {
    const Image in = noise(32, 6);
    std::set<std::string> results;
    for (uint64_t key = 0; key < 50; ++key) {
        const Image out = augmented(paper_augmentation(), key, 32, in);
        EXPECT_EQ(out, augmented(paper_augmentation(), key, 32, in));
        results.emplace(out.begin(), out.end());
    }
    EXPECT_EQ(results.size(), 50u);
}

TEST(Augment, TinyImages) {
    AugmentOptions all = paper_augmentation();
    all.shift = 4;
    all.erase = 1;
    for (int side : {1, 2, 3})
        for (uint64_t key = 0; key < 200; ++key) augmented(all, key, side, noise(side, key));
}

}  // namespace
}  // namespace fp
