// Who owns which output, and what the models of kernels/tiles.h say that files quote.
#include "kernels/tiles.h"

#include <gtest/gtest.h>

#include "kernels/nhwc.h"
#include "kernels/shapes.h"

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
    return {.m = int64_t(s.y().n) * s.y().pixels(),
            .n = s.y().stored_c(),
            .depth = int64_t(s.w.r) * s.w.s * s.x.stored_c(),
            .element_bytes = element_bytes,
            .peak = peak};
}

// The heads of conv_tensor.cuh, conv_bf16_sm90a.cu and conv_f32.cuh quote these.
TEST(Tiles, ExpectedTimesOfResNetsMiddleLayer) {
    const ConvShape s = conv(256, 128, 28, 128, 3, 1);
    const auto microseconds = [&](const auto& tiles, int bytes, double peak) {
        return 1e6 * expected_seconds(forward_of(s, bytes, peak), tiles, s.bytes(bytes));
    };
    EXPECT_NEAR(microseconds(kTensorTiles, 2, kDevice.bf16_matrix), 191, 1);
    EXPECT_NEAR(microseconds(kWgmmaTiles, 2, kDevice.bf16_matrix), 132, 1);
    EXPECT_NEAR(microseconds(kFfmaTiles, 4, kDevice.ffma), 1248, 1);
}

TEST(Tiles, NarrowOutputsGetNarrowTiles) {
    const auto tile = [](int c, int k) {
        return best_tile(forward_of(conv(256, c, 56, k, 3, 1), 2, kDevice.bf16_matrix),
                         kTensorTiles)
            .tile;
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
        const double now = expected_seconds(
            forward_of(conv(128, 64, 28, k, 3, 1), 2, kDevice.bf16_matrix), kTensorTiles, 0);
        EXPECT_GE(now, before) << k << " outputs";
        before = now;
    }
}

TEST(Tiles, PartsOfASumCoverItOnce) {
    for (const int64_t length : {1, 31, 64, 1000, 200704})
        for (const int64_t tiles : {1, 9, 36, 1000}) {
            const Split split = split_sum(length, tiles, 32, 64);
            EXPECT_EQ(split.part % 32, 0);
            EXPECT_GE(split.parts() * split.part, length);
            EXPECT_LT((split.parts() - 1) * split.part, length);
        }
}

}  // namespace
}  // namespace fp
