// How convolutions in bf16 run on Hopper (kernels/cuda/plan/): what a plan must keep to, over the layers of the networks
// and of pruned ones, and the choices that were measured.
#include <gtest/gtest.h>

#include <set>

#include "kernels/cuda/plan/conv_plan.h"
#include "kernels/nhwc.h"

namespace fp {
namespace {

ConvShape conv(int n, int c, int size, int k, int window, int stride) {
    return {.x = {.n = n, .c = c, .h = size, .w = size, .block = nhwc_block_bf16(c)},
            .w = krsc_filter(k, c, window, window, nhwc_block_bf16(c)),
            .stride = stride,
            .pad = window / 2,
            .y_block = nhwc_block_bf16(k)};
}

// ResNet's and VGG's layers at 224 and 64 pixels, at widths and batches from one to the largest.
template <class Use>
void for_layers(Use use) {
    for (const int n : {1, 32, 256})
        for (const double width : {1.0, 0.98, 0.75, 0.3})
            for (const int size : {56, 16})
                for (int stage = 0; stage < 4; ++stage) {
                    const int side = size >> stage;
                    const auto channels = [&](int full) { return std::max(1, int(full * width)); };
                    const int c = channels(64 << stage), wide = channels(256 << stage);
                    use(conv(n, c, side, c, 3, 1));
                    use(conv(n, c, 4 * side, c, 3, 1));
                    use(conv(n, c, side, wide, 1, 1));
                    use(conv(n, wide, side, c, 1, 1));
                    use(conv(n, c, side, channels(128 << stage), 3, 2));
                    use(conv(n, c, side, channels(128 << stage), 1, 2));
                }
}

class ConvPlan : public ::testing::Test {
protected:
    ~ConvPlan() override { conv_forced() = {}; }
};

TEST_F(ConvPlan, BlocksThatWalkFitTheirRings) {
    std::set<std::pair<int, int>> tiles;
    int resident = 0;
    for_layers([&](const ConvShape& s) {
        for (const Pass pass : {Pass::forward, Pass::data}) {
            const PixelPlan plan = pixel_plan(s, pass);
            const bool patches = plan.kernel == PixelKernel::patches;
            if (!patches && plan.kernel != PixelKernel::stream) continue;
            const StreamPlan& on = plan.stream;
            const TileSize t = plan.tile;
            tiles.insert({t.m, t.n});
            resident += on.resident;
            const int stage = (t.n + (patches ? 0 : t.m)) * kPanelRowBytes;
            const int staging = stream_consumers(t) * kStagingBytesOfConsumer;
            EXPECT_LE(on.stages * stage + kPatches * on.patch_bytes + staging + kStreamBarrierBytes,
                      kMostSharedBytes);
            // A warpgroup that waits for its turn lets go of no stage: those before it need so many.
            const int step = patches ? kPatchSide : 1;
            EXPECT_GE(on.stages, (on.skew * (stream_consumers(t) - 1) + 1) * step);
            EXPECT_GE(on.stages, 2 * (patches && t.n == 64 ? kPatchSide : 1));
            EXPECT_GE(on.blocks, 1);
            EXPECT_LE(on.blocks, kProcessors);
            const ConvSizes g =
                pass == Pass::data ? turned_round(ConvSizes::of(s)) : ConvSizes::of(s);
            const int64_t pixels = patches ? int64_t(g.n) * (g.h + 1) * (g.w + 1) : g.pixels_out();
            EXPECT_EQ(on.tiles, ceil_div(pixels, t.m) * ceil_div(g.y_c, t.n));
            EXPECT_EQ(plan.moments_rows().count * stream_consumers(t), t.m);
            EXPECT_EQ(plan.moments_rows().padded(), patches);
        }
    });
    EXPECT_EQ(tiles,
              (std::set<std::pair<int, int>>{{256, 64}, {256, 128}, {128, 256}, {192, 256}}));
    EXPECT_GT(resident, 0);
}

// A kernel or tile that no layer takes is none that we keep.
TEST_F(ConvPlan, EveryKernelAndTileIsSomeLayers) {
    std::set<std::string> seen;
    for_layers([&](const ConvShape& s) {
        for (const Pass pass : {Pass::forward, Pass::data}) {
            if (pass == Pass::data && s.stride > 1) continue;
            const PixelPlan plan = pixel_plan(s, pass);
            if (plan.kernel == PixelKernel::tiles)
                seen.insert(text(pass == Pass::data ? "dx " : "y ", plan.tile.m, "x", plan.tile.n));
        }
        if (const auto tile = strided_tile(s)) seen.insert(text("/2 ", tile->m, "x", tile->n));
        const FilterGradientPlan filter = filter_gradient_plan(s);
        if (filter.kernel == FilterKernel::mma_sync) {
            EXPECT_EQ(filter.parts_bytes(s), 0u) << "its parts are conv_bf16's";
            seen.insert("dw mma.sync");
        }
        if (filter.kernel == FilterKernel::blocks)
            seen.insert(text("dw ", filter.tile.m, "x", filter.tile.n));
        if (filter.kernel == FilterKernel::taps) seen.insert(text("taps at ", s.stride));
        if (filter.kernel == FilterKernel::rows) seen.insert("rows");
    });
    std::set<std::string> all{"dw mma.sync", "rows", "taps at 1", "taps at 2"};
    for (const TileCost& of : kWgmmaTiles) all.insert(text("y ", of.tile.m, "x", of.tile.n));
    for (const TileCost& of : kWgmmaAcrossTiles) {
        all.insert(text("dx ", of.tile.m, "x", of.tile.n));
        all.insert(text("dw ", of.tile.m, "x", of.tile.n));
    }
    for (const TileSize tile : kStridedTiles) all.insert(text("/2 ", tile.m, "x", tile.n));
    EXPECT_EQ(seen, all);
}

// Of the lines that were measured on an H200, the faster.
TEST_F(ConvPlan, PixelsAsMeasured) {
    const auto expect = [](const ConvShape& s, Pass pass, PixelKernel kernel, TileSize tile) {
        const PixelPlan plan = pixel_plan(s, pass);
        EXPECT_EQ(plan.kernel, kernel) << s.x.c << ">" << s.w.k << "@" << s.x.h;
        EXPECT_EQ(plan.tile, tile)
            << s.x.c << ">" << s.w.k << "@" << s.x.h << ": " << plan.tile.m << "x" << plan.tile.n;
    };
    using enum PixelKernel;
    expect(conv(256, 64, 56, 64, 3, 1), Pass::forward, patches, {256, 64});
    expect(conv(256, 64, 56, 64, 3, 1), Pass::data, patches, {256, 64});
    expect(conv(256, 64, 112, 128, 3, 1), Pass::forward, patches, {256, 128});
    expect(conv(256, 128, 28, 128, 3, 1), Pass::forward, stream, {256, 128});
    expect(conv(256, 256, 14, 256, 3, 1), Pass::forward, stream, {192, 256});
    expect(conv(256, 512, 28, 512, 3, 1), Pass::forward, stream, {192, 256});
    expect(conv(256, 121, 14, 149, 3, 1), Pass::forward, tiles, {128, 160});
}

TEST_F(ConvPlan, GradientsAsMeasured) {
    const auto kernel = [](const ConvShape& s) { return filter_gradient_plan(s).kernel; };
    EXPECT_EQ(kernel(conv(256, 64, 56, 64, 3, 1)), FilterKernel::taps);
    EXPECT_EQ(kernel(conv(256, 128, 28, 128, 3, 1)), FilterKernel::taps);
    EXPECT_EQ(kernel(conv(256, 512, 7, 512, 3, 1)), FilterKernel::rows);
    EXPECT_EQ(kernel(conv(256, 64, 56, 128, 3, 2)), FilterKernel::taps);
    EXPECT_EQ(kernel(conv(256, 512, 14, 512, 3, 2)), FilterKernel::blocks);
    EXPECT_EQ(kernel(conv(256, 64, 56, 128, 1, 2)), FilterKernel::blocks);
    EXPECT_EQ(strided_tile(conv(256, 64, 56, 128, 3, 2)), (TileSize{128, 64}));
    EXPECT_EQ(strided_tile(conv(256, 128, 56, 128, 3, 2)), (TileSize{128, 128}));
    EXPECT_EQ(strided_tile(conv(256, 512, 14, 512, 3, 2)), (TileSize{256, 128}));
    EXPECT_EQ(strided_tile(conv(256, 64, 56, 64, 3, 1)), std::nullopt);
}

TEST_F(ConvPlan, WhatDoesNotFitIsAnError) {
    conv_forced() = {.pixels = PixelKernel::patches};
    EXPECT_THROW(pixel_plan(conv(1, 64, 8, 64, 1, 1), Pass::forward), Error);
    conv_forced() = {.pixels = PixelKernel::stream, .tile = {128, 64}};
    EXPECT_THROW(pixel_plan(conv(1, 64, 8, 64, 1, 1), Pass::forward), Error);
    conv_forced() = {.filter = FilterKernel::taps};
    EXPECT_THROW(filter_gradient_plan(conv(1, 64, 8, 64, 1, 1)), Error);
    conv_forced() = {.filter = FilterKernel::blocks, .tile = {64, 64}};
    EXPECT_THROW(filter_gradient_plan(conv(1, 64, 8, 64, 1, 1)), Error);
}

}  // namespace
}  // namespace fp
