// Who owns which output, and what the models of kernels/cuda/plan/tiling.h say that files quote.
#include "kernels/cuda/plan/tiling.h"

#include <gtest/gtest.h>

#include "kernels/cuda/plan/gemm_shapes.h"
#include "kernels/cuda/plan/layout.h"

namespace fp {
namespace {

ConvShape conv(int n, int c, int size, int k, int window, int stride) {
    return {.x = {.n = n, .c = c, .h = size, .w = size, .block = nhwc_block(c)},
            .w = krsc_filter(k, c, window, window, nhwc_block(c)),
            .stride = stride,
            .pad = window / 2,
            .y_block = nhwc_block(k)};
}

MatrixProduct forward_of(const ConvShape& s, int element_bytes, double peak) {
    return product_of(s, Pass::forward, element_bytes, peak);
}

// The heads of conv_f32.cuh and conv_tf32.cu quote these.
TEST(Tiles, ExpectedTimesOfResNetsMiddleLayer) {
    const ConvShape s = conv(256, 128, 28, 128, 3, 1);
    const auto microseconds = [&](const auto& tiles, double peak) {
        return 1e6 * expected_seconds(forward_of(s, 4, peak), tiles, s.bytes(4));
    };
    EXPECT_NEAR(microseconds(kFfmaTiles, kDevice.ffma), 1246, 1);
    EXPECT_NEAR(microseconds(kTensorTiles, kDevice.tf32_matrix), 348, 1);
}

TEST(Tiles, NarrowOutputsGetNarrowTiles) {
    const auto tile = [](int c, int k) {
        return best_tile(forward_of(conv(256, c, 56, k, 3, 1), 2, kDevice.bf16_matrix), kTensorTiles).tile;
    };
    EXPECT_EQ(tile(64, 128), (TileSize{128, 128}));
    EXPECT_EQ(tile(64, 64), (TileSize{128, 64}));
    EXPECT_EQ(tile(64, 40), (TileSize{128, 64}));
    EXPECT_EQ(tile(64, 24), (TileSize{128, 32}));
}

// A channel less never costs more: what a pruner counts on.
TEST(Tiles, TimeGrowsWithTheNumberOfOutputs) {
    double before = 0;
    for (int k = 8; k <= 512; k += 8) {
        const double now =
            expected_seconds(forward_of(conv(128, 64, 28, k, 3, 1), 2, kDevice.bf16_matrix), kTensorTiles, 0);
        EXPECT_GE(now, before) << k << " outputs";
        before = now;
    }
}

TEST(Tiles, PartsOfASumCoverItOnce) {
    for (const int64_t length : {1, 31, 64, 1000, 200704})
        for (const int64_t tiles : {1, 9, 36, 1000}) {
            for (const Split split : {split_sum(length, tiles, 32, 64), split_in_waves(length, tiles, 32)}) {
                EXPECT_EQ(split.part % 32, 0);
                EXPECT_GE(split.parts() * split.part, length);
                EXPECT_LT((split.parts() - 1) * split.part, length);
            }
        }
}

// One block per multiprocessor: the blocks fill whole waves, and short sums are not split.
TEST(Tiles, PartsFillWaves) {
    for (const int64_t tiles : {1, 3, 5, 9, 18, 33, 72, 100}) {
        const int64_t blocks = tiles * split_in_waves(200704, tiles, 64).parts();
        EXPECT_GE(double(blocks), 0.85 * double(round_up(blocks, kProcessors))) << tiles;
    }
    EXPECT_EQ(split_in_waves(128, 4, 64).parts(), 1);
}

// What the copy unit cannot reach is not asked of it: boxes begin and end within 128 pixels of the map's edges.
TEST(Tiles, WindowsBeyondTheCopyUnitGoElsewhere) {
    const auto fits = [](int window, int pad, Pass pass) {
        ConvShape s = conv(1, 64, 300, 64, window, 1);
        s.pad = pad;
        return fits_wgmma(s, pass);
    };
    for (const Pass pass : {Pass::forward, Pass::filter}) {
        EXPECT_TRUE(fits(129, 0, pass));
        EXPECT_FALSE(fits(130, 0, pass)) << "ends 129 before the map does";
        EXPECT_TRUE(fits(130, 1, pass));
        EXPECT_TRUE(fits(255, 127, pass));
        EXPECT_FALSE(fits(257, 128, pass));
    }
    EXPECT_TRUE(fits(128, 0, Pass::data)) << "of dy with a padding of 127";
    EXPECT_FALSE(fits(129, 0, Pass::data));
    EXPECT_TRUE(fits(1, 127, Pass::data)) << "of dy with a padding of -127";
    EXPECT_FALSE(fits(1, 128, Pass::data));
    ConvShape tall = conv(1, 64, 300, 64, 3, 1);
    tall.w.r = 131;
    EXPECT_FALSE(fits_wgmma(tall, Pass::forward));
}

TEST(Tiles, WideMapsOfBf16AreStoredByWholeSectors) {
    for (const auto& [channels, stored] : {std::pair{1, 8}, {50, 56}, {64, 64}, {65, 80}, {81, 96}, {96, 96}, {97, 112}, {353, 368}})
        EXPECT_EQ(nhwc_block_bf16(channels), stored);
}

}  // namespace
}  // namespace fp
