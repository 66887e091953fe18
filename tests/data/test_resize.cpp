#include "engine/data/augment/resize.h"

#include <gtest/gtest.h>

#include <set>

#include "engine/io/csv.h"
#include "tests/source_dir.h"

namespace fp {
namespace {

// The image of resize_pil.py.
Pixels formula_image(int width, int height) {
    Pixels out{.width = width, .height = height, .rgb = {}};
    for (int64_t y = 0; y < height; ++y)
        for (int64_t x = 0; x < width; ++x)
            for (int64_t c = 0; c < 3; ++c) {
                const int64_t value =
                    (x / 5 + y / 3) % 4 == 0
                        ? 255 * ((x + c) % 2)
                        : (x * x * 3 + y * 29 + x * y * (c + 1) + 71 * c + (x * 7919 + y * 104729) % 97) % 256;
                out.rgb.push_back(uint8_t(value));
            }
    return out;
}

Pixels resized(const Pixels& in, Size full) { return resize(in, full, {0, 0, full.width, full.height}); }

std::vector<uint8_t> from_hex(const std::string& hex) {
    std::vector<uint8_t> bytes;
    for (size_t i = 0; i < hex.size(); i += 2) bytes.push_back(uint8_t(std::stoi(hex.substr(i, 2), nullptr, 16)));
    return bytes;
}

TEST(Resize, EqualsPil) {
    const Table table = read_csv(source_dir() / "tests" / "data" / "resize_pil.csv");
    ASSERT_GE(table.rows.size(), 10u);
    for (const std::vector<std::string> row : table.rows) {
        const Pixels in = formula_image(std::stoi(row[0]), std::stoi(row[1]));
        const Pixels out = resized(in, {std::stoi(row[2]), std::stoi(row[3])});
        EXPECT_EQ(out.rgb, from_hex(row[4])) << row[0] << " x " << row[1] << " to " << row[2] << " x " << row[3];
    }
}

TEST(Resize, PartIsPartOfTheWhole) {
    const Pixels in = formula_image(93, 71);
    for (const Size full : {Size{40, 31}, Size{93, 71}, Size{120, 99}, Size{93, 30}}) {
        const Pixels whole = resized(in, full);
        const Window part{7, 5, 19, 23};
        std::vector<uint8_t> got(3 * part.width * part.height, 77);
        resize(in, full, part, got.data());
        for (int y = 0; y < part.height; ++y)
            for (int x = 0; x < 3 * part.width; ++x)
                ASSERT_EQ(got[y * 3 * part.width + x], whole.rgb[(part.top + y) * 3 * full.width + 3 * part.left + x])
                    << full.width << " x " << full.height << " at " << x << ", " << y;
    }
}

TEST(Resize, ShortSideAsTorchvision) {
    EXPECT_EQ(fit_short_side({200, 150}, 64), (Size{85, 64}));  // int(64 * 200 / 150) = int(85.33)
    EXPECT_EQ(fit_short_side({150, 200}, 64), (Size{64, 85}));
    EXPECT_EQ(fit_short_side({600, 450}, 128), (Size{170, 128}));
    EXPECT_EQ(fit_short_side({84, 84}, 64), (Size{64, 64}));
    EXPECT_EQ(fit_short_side({1, 400}, 224), (Size{224, 89600}));
}

// int(round((in - out) / 2)) with Python's round: halves go to the even number.
TEST(Resize, CentreAsTorchvision) {
    const int expected[] = {0, 0, 1, 2, 2, 2, 3, 4};
    for (int spare = 0; spare < 8; ++spare)
        EXPECT_EQ(centre_window({10 + spare, 10}, 10, 10), (Window{expected[spare], 0, 10, 10}));
}

TEST(Resize, ThinImagesMakeNoBigOnes) {
    const Pixels in = formula_image(1, 16384);
    std::vector<uint8_t> out(3 * 512 * 512);
    fit_centre(in, 512, out.data());  // of 512 x 8388608
    EXPECT_NE(out, std::vector<uint8_t>(out.size()));
}

TEST(Crop, CentreOfAnImageOfTheSizeIsTheImage) {
    const Pixels in = formula_image(24, 24);
    std::vector<uint8_t> out(in.rgb.size());
    crop(in, {}, 24, out.data());
    EXPECT_EQ(out, in.rgb);
}

TEST(Crop, RandomIsASquareAlongTheLongSide) {
    const Pixels in = formula_image(20, 16);
    std::set<int> lefts;
    std::vector<uint8_t> out(3 * 16 * 16), want(out.size());
    for (uint64_t key = 0; key < 64; ++key) {
        crop(in, {.crop = Crop::random, .key = key}, 16, out.data());
        for (int left = 0; left <= 4; ++left) {
            resize(in, {20, 16}, {left, 0, 16, 16}, want.data());
            if (want == out) lefts.insert(left);
        }
    }
    EXPECT_EQ(lefts, (std::set<int>{0, 1, 2, 3, 4}));
}

TEST(Crop, ResizedRepeatsAndVaries) {
    const Pixels in = formula_image(40, 30);
    std::set<std::string> seen;
    for (uint64_t key = 0; key < 20; ++key) {
        std::vector<uint8_t> out(3 * 16 * 16, 1), again(out.size(), 2);
        crop(in, {.crop = Crop::resized, .least_area = 0.1, .key = key}, 16, out.data());
        crop(in, {.crop = Crop::resized, .least_area = 0.1, .key = key}, 16, again.data());
        EXPECT_EQ(out, again);
        seen.emplace(out.begin(), out.end());
    }
    EXPECT_EQ(seen.size(), 20u);
    // Too thin for any shape in range: the largest middle one.
    std::vector<uint8_t> out(3 * 8 * 8);
    crop(formula_image(3, 300), {.crop = Crop::resized, .least_area = 1, .key = 1}, 8, out.data());
}

}  // namespace
}  // namespace fp
