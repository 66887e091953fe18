#include "engine/data/decode/decode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "engine/io/csv.h"
#include "kernels/error.h"
#include "tests/shared.h"
#include "tests/source_dir.h"
#include "tests/temporary_folder.h"

namespace fp {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

std::array<double, 3> means(const Pixels& image) {
    std::array<double, 3> sum{};
    for (size_t i = 0; i < image.rgb.size(); ++i) sum[i % 3] += image.rgb[i];
    for (double& s : sum) s /= double(image.rgb.size()) / 3;
    return sum;
}

std::string error_of(const fs::path& file, const DecodeOptions& options = {}) {
    try {
        decode_file(file, options);
    } catch (const Error& error) {
        EXPECT_EQ(error.exit, Exit::data) << error.what();
        return error.what();
    }
    return "";
}

std::vector<uint8_t> read(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

// The picture of tests/fuzz/make_image_corpus.py in every form: size and colours.
class EveryForm : public ::testing::TestWithParam<const char*> {};

TEST_P(EveryForm, IsThePicture) {
    const Pixels image = decode_file(source_dir() / "tests/fuzz/corpus/image" / GetParam());
    EXPECT_EQ(image.width, 9);
    EXPECT_EQ(image.height, 7);
    const std::string name = GetParam();
    const bool exact = name.starts_with("rgb");
    const bool grey = name.starts_with("grey") || name.starts_with("bits1");
    double error = 0;
    for (int y = 0; y < 7; ++y)
        for (int x = 0; x < 9; ++x) {
            const uint8_t* got = &image.rgb[3 * (9 * y + x)];
            const int want[] = {(x * 31 + y * 7) % 256, (x * y * 13) % 256, (255 - x * 20) % 256};
            for (int c = 0; c < 3; ++c) {
                error += std::abs(got[c] - want[c]) / 189.0;
                EXPECT_TRUE(!exact || got[c] == want[c]) << x << ' ' << y;
                EXPECT_TRUE(!grey || got[c] == got[0]) << x << ' ' << y;
            }
        }
    // What JPEG and seven colours lose on such a small and busy picture; swapped channels are off by 60.
    EXPECT_TRUE(grey || error < 45) << error;
}

constexpr const char* kForms[] = {
    "rgb.png",         "rgba.png",  "grey.png",     "greyalpha.png", "grey16.png", "palette.png", "palette2.png",
    "transparent.png", "bits1.png", "baseline.jpg", "s444.jpg",      "s422.jpg",   "restart.jpg", "progressive.jpg",
    "grey.jpg",        "cmyk.jpg",  "rgb.bmp",      "rgba.bmp",      "grey.bmp",   "palette.bmp", "bits1.bmp"};
INSTANTIATE_TEST_SUITE_P(Corpus, EveryForm, ::testing::ValuesIn(kForms));

// What tests/data/make_bad_images.py makes.
class BadImages : public ::testing::Test {
protected:
    const fs::path folder = source_dir() / "tests" / "data" / "bad-images";
};

TEST_F(BadImages, EveryRowAsExpected) {
    const Table table = read_csv(folder / "expected.csv");
    ASSERT_GE(table.rows.size(), 40u);
    const auto cell = [&](const std::vector<std::string>& row, const std::string& name) {
        return row[table.column(name)];
    };
    for (const std::vector<std::string> row : table.rows) {
        const std::string image = cell(row, "image");
        SCOPED_TRACE(image);
        Pixels out;
        std::string error;
        try {
            out = decode_file(folder / image);
        } catch (const Error& caught) {
            error = caught.what();
            EXPECT_EQ(caught.exit, Exit::data);
        }
        const std::string expect = cell(row, "expect");
        EXPECT_FALSE(expect == "error" && error.empty()) << "loaded";
        EXPECT_FALSE(expect == "ok" && !error.empty()) << error;
        if (!error.empty()) {
            EXPECT_THAT(error, HasSubstr((folder / image).string() + ": "));
            EXPECT_EQ(error.find('\n'), std::string::npos) << error;
            continue;
        }
        EXPECT_EQ(out.rgb.size(), size_t(3) * out.width * out.height);
        if (cell(row, "width").empty()) continue;
        EXPECT_EQ(out.width, std::stoi(cell(row, "width")));
        EXPECT_EQ(out.height, std::stoi(cell(row, "height")));
        const double tolerance = image == "cmyk.jpg" ? 3 : 0.00051;
        const auto got = means(out);
        const uint8_t* centre = &out.rgb[3 * (size_t(out.height / 2) * out.width + out.width / 2)];
        for (size_t c = 0; c < 3; ++c) {
            EXPECT_NEAR(got[c], std::stod(cell(row, text("mean_", "rgb"[c]))), tolerance);
            const std::string level = cell(row, text("centre_", "rgb"[c]));
            EXPECT_TRUE(level.empty() || centre[c] == std::stoi(level)) << int(centre[c]) << ", not " << level;
        }
    }
}

// Rows that may fail or load: these are what we promise in decode.h.
TEST_F(BadImages, WhatMayFailAndLoads) {
    for (const char* name : {"cmyk.jpg", "progressive.jpg", "palette.png", "1bit.png", "gray16.png", "rgb16.png",
                             "interlaced.png", "png-named.jpg", "jpeg-named.png", "bmp-named.jpg"})
        EXPECT_EQ(error_of(folder / name), "");
}

TEST_F(BadImages, SaysWhatIsWrong) {
    EXPECT_THAT(error_of(folder / "bomb-dimensions.jpg"), HasSubstr("65500 x 65500"));
    EXPECT_THAT(error_of(folder / "bomb-int-overflow.png"), HasSubstr("65537 x 65537"));
    EXPECT_THAT(error_of(folder / "bad-crc.png"), HasSubstr("CRC"));
    EXPECT_THAT(error_of(folder / "html-404.jpg"), HasSubstr("HTML"));
    EXPECT_THAT(error_of(folder / "lfs-pointer.jpg"), HasSubstr("LFS"));
    EXPECT_THAT(error_of(folder / "empty.jpg"), HasSubstr("empty"));
    EXPECT_THAT(error_of(folder / "directory.jpg"), HasSubstr("folder"));
    EXPECT_THAT(error_of(folder / "no-such-file.jpg"), HasSubstr("No such file"));
    EXPECT_THAT(error_of(folder / "truncated.png"), HasSubstr("cut off"));
    EXPECT_THAT(error_of(folder / "bomb-zlib.png"), HasSubstr("outofmem"));
}

// libjpeg keeps tables and its place in the file; an image must not depend on the one before it.
TEST_F(BadImages, LeaveNothingBehind) {
    const Pixels want = decode_file(folder / "plain.jpg");
    for (const char* name : {"corrupt-huffman.jpg", "truncated-half.jpg", "truncated-header.jpg"}) {
        EXPECT_NE(error_of(folder / name), "");
        EXPECT_EQ(decode_file(folder / "plain.jpg").rgb, want.rgb) << "after " << name;
    }
}

TEST_F(BadImages, DamagedJpegLoadsWhenAllowed) {
    const Pixels half = decode_file(folder / "truncated-half.jpg", {.allow_damaged = true});
    const Pixels whole = decode_file(folder / "plain.jpg");
    ASSERT_EQ(half.rgb.size(), whole.rgb.size());
    EXPECT_TRUE(std::equal(half.rgb.begin(), half.rgb.begin() + 30 * 600, whole.rgb.begin()));
    EXPECT_EQ(decode_file(folder / "missing-eoi.jpg", {.allow_damaged = true}).rgb, whole.rgb);
    EXPECT_NE(error_of(folder / "corrupt-huffman.jpg", {.allow_damaged = true}), "");
}

TEST_F(BadImages, LimitsAreKept) {
    EXPECT_THAT(error_of(folder / "plain.jpg", {.max_pixels = 29'999}), HasSubstr("29999 pixels"));
    EXPECT_EQ(error_of(folder / "plain.jpg", {.max_pixels = 30'000}), "");
    EXPECT_THAT(error_of(folder / "plain.jpg", {.max_file_bytes = 1000}), HasSubstr("1000"));
}

// Cut anywhere, or with any byte changed: an error or an image of the size in the header, never more.
TEST_F(BadImages, NoCutAndNoFlipCrashes) {
    for (const char* name : {"odd-size.jpg", "rgba.png", "palette.png", "bmp-named.jpg"}) {
        const std::vector<uint8_t> whole = read(folder / name);
        const size_t step = std::max<size_t>(1, whole.size() / 400);
        for (size_t at = 0; at < whole.size(); at += step) {
            std::vector<uint8_t> bytes = whole;
            EXPECT_THROW(decode(std::span(bytes).first(at), name), Error) << name << " cut at " << at;
            bytes[at] ^= 0x55;
            try {
                const Pixels out = decode(bytes, name);
                EXPECT_EQ(out.rgb.size(), size_t(3) * out.width * out.height);
            } catch (const Error& error) {
                EXPECT_EQ(error.exit, Exit::data) << error.what();
            }
        }
    }
}

// The values of libjpeg-turbo through PIL, exactly.
class DecodeCheck : public ::testing::TestWithParam<const char*> {};

TEST_P(DecodeCheck, MeansAndCentrePixelsAreExact) {
    if (!shared_folder()) GTEST_SKIP() << "no shared folder: set FP_SHARED";
    const fs::path set = *shared_folder() / "data" / GetParam();
    if (!fs::exists(set / "decode_check.csv")) GTEST_SKIP() << set << " is absent";
    const Table table = read_csv(set / "decode_check.csv");
    const TemporaryFolder folder;
    const fs::path unpacked = folder.path();
    {
        std::ofstream names(unpacked / "names");
        for (const auto& row : table.rows) names << row[0] << "\n";
    }
    const std::string command = "tar xzf '" + (set / "images.tar.gz").string() + "' -C '" + unpacked.string() +
                                "' -T '" + (unpacked / "names").string() + "'";
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
    ASSERT_GE(table.rows.size(), 200u);
    for (const std::vector<std::string> row : table.rows) {
        const Pixels image = decode_file(unpacked / row[0]);
        ASSERT_EQ(image.width, std::stoi(row[1])) << row[0];
        ASSERT_EQ(image.height, std::stoi(row[2])) << row[0];
        const auto got = means(image);
        const size_t centre = 3 * (size_t(image.height / 2) * image.width + image.width / 2);
        for (int c = 0; c < 3; ++c) {
            EXPECT_NEAR(got[c], std::stod(row[3 + c]), 0.00051) << row[0];
            EXPECT_EQ(image.rgb[centre + c], std::stoi(row[6 + c])) << row[0];
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Shared,
                         DecodeCheck,
                         ::testing::Values("isic2019-84", "ham10000-200x150", "pad-ufes-20-lesions-128"));

}  // namespace
}  // namespace fp
