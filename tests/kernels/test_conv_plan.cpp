// How convolutions in bf16 run on Hopper (kernels/cuda/plan/): what a plan must keep to, over the layers of the
// networks and of pruned ones, and what is chosen for them.
#include <gtest/gtest.h>

#include <set>

#include "kernels/cuda/plan/conv_plan.h"
#include "kernels/cuda/plan/cost.h"
#include "kernels/cuda/plan/halo_plan.h"
#include "kernels/cuda/plan/layout.h"
#include "tests/kernels/planned_conv.h"

namespace fp {
namespace {

// The layers of ResNet-18, -34 and -50 and of VGG at 224 and 64 pixels, at widths and batches from one to the largest,
// and of a pruned network.
template <class Use>
void for_layers(Use use) {
    for (const int n : {1, 16, 32, 128, 256})
        for (const double width : {1.0, 0.98, 0.9, 0.75, 0.6, 0.5, 0.4, 0.3, 0.25})
            for (const int size : {56, 16}) {
                const auto channels = [&](int full) { return std::max(1, int(full * width)); };
                use(conv(n, 3, 4 * size, channels(64), 7, 2));
                use(conv(n, 3, 4 * size, channels(64), 3, 1));
                for (int stage = 0; stage < 4; ++stage) {
                    const int side = size >> stage, c = channels(64 << stage);
                    const int next = channels(128 << stage), wide = channels(256 << stage);
                    use(conv(n, c, side, c, 3, 1));
                    use(conv(n, c, 4 * side, c, 3, 1));
                    use(conv(n, c, 2 * side, next, 3, 1));
                    use(conv(n, c, side, wide, 1, 1));
                    use(conv(n, wide, side, c, 1, 1));
                    use(conv(n, wide, side, next, 1, 1));
                    use(conv(n, c, side, next, 3, 2));
                    use(conv(n, next, side, next, 3, 2));
                    use(conv(n, c, side, next, 1, 2));
                    use(conv(n, wide, side, 2 * wide, 1, 2));
                }
            }
    for (const auto& [c, k] : {std::pair{21, 16}, {16, 21}, {21, 27}, {27, 21}}) use(conv(256, c, 56, k, 3, 1));
    use(conv(256, 21, 56, 65, 3, 2));
    use(conv(256, 65, 28, 35, 3, 1));
    use(conv(256, 35, 28, 65, 3, 1));
    use(conv(256, 121, 14, 149, 3, 1));
}

struct Asked {
    Pass pass;
    ConvExtras extras;
};
const Asked kAsked[] = {{Pass::forward, {}}, {Pass::forward, {.residual = true}}, {Pass::forward, {.moments = true}},
                        {Pass::data, {}},    {Pass::data, {.residual = true}},    {Pass::filter, {}}};

std::string text_of(Pass pass, ConvChoice c) {
    constexpr const char* kPasses[] = {"y", "dx", "dw"};
    return text(kPasses[int(pass)], " ", name_of(c.kernel), " ", c.tile.m, "x", c.tile.n);
}

class ConvPlan : public ::testing::Test {
protected:
    ~ConvPlan() override { conv_forced() = {}; }
};

TEST_F(ConvPlan, BlocksThatWalkFitTheirRings) {
    int resident = 0;
    const auto check = [&](const ConvShape& s, Pass pass, ConvChoice choice) {
        const PixelPlan plan = pixel_plan(s, pass, choice);
        const bool patches = plan.kernel == ConvKernel::patch;
        const StreamPlan& on = plan.stream;
        const TileSize t = plan.tile;
        resident += on.resident;
        const int stage = (t.n + (patches ? 0 : t.m)) * kPanelRowBytes;
        const int staging = stream_consumers(t) * kStagingBytesOfConsumer;
        const int moments = pass == Pass::forward ? stream_moments_bytes(t) : 0;
        EXPECT_LE(on.stages * stage + kPatches * on.patch_bytes + staging + moments + kStreamBarrierBytes,
                  kMostSharedBytes);
        // A warpgroup that waits for its turn frees no stage, so the ring must hold what those before it use until
        // then.
        const int step = patches ? kPatchSide : 1;
        EXPECT_GE(on.stages, (on.skew * (stream_consumers(t) - 1) + 1) * step);
        EXPECT_GE(on.stages, 2 * (patches && t.n == 64 ? kPatchSide : 1));
        EXPECT_GE(on.blocks, 1);
        EXPECT_LE(on.blocks, kProcessors);
        const ConvSizes g = sizes_of(s, pass);
        const int64_t pixels = patches ? int64_t(g.n) * (g.h + 1) * (g.w + 1) : g.pixels_out();
        EXPECT_EQ(on.tiles, ceil_div(pixels, t.m) * ceil_div(g.y_c, t.n));
        // Strands divide the tiles among the blocks, each within one slice of the outputs.
        EXPECT_EQ(on.strands % on.blocks, 0);
        EXPECT_EQ(on.strands % on.across, 0);
        EXPECT_LE(on.moments_parts(), kProcessors);
        EXPECT_GE(on.moments_parts() * on.across, std::min(on.blocks, on.tiles));
    };
    for_layers([&](const ConvShape& s) {
        for (const Pass pass : {Pass::forward, Pass::data})
            for (const ConvChoice choice : conv_choices(s, pass))
                if (choice.kernel == ConvKernel::stream || choice.kernel == ConvKernel::patch) check(s, pass, choice);
    });
    EXPECT_GT(resident, 0);
}

// A kernel or tile that no layer takes is none that we keep, unless an H200 has run it and others are preferred by the
// model alone.
TEST_F(ConvPlan, EveryKernelAndTileIsSomeLayers) {
    std::set<std::string> seen;
    std::set<std::string> halo;  // in any pass
    std::set<int> runs;
    for_layers([&](const ConvShape& s) {
        for (const auto& [pass, extras] : kAsked) {
            if (pass == Pass::data && s.x.c <= 4) continue;  // of an image
            const ConvChoice c = conv_choice(s, pass, extras);
            if (c.on_halo()) halo.insert(text_of(Pass::forward, c));
            if (c.kernel == ConvKernel::halo_filter) runs.insert(halo_filter_plan(s).runs);
            seen.insert(text_of(pass, c));
        }
    });
    for (const ConvTile& t : kConvTiles)
        for (const Pass pass : {Pass::forward, Pass::data, Pass::filter})
            if (t.passes & ~t.measured & bit(pass)) {
                EXPECT_TRUE(seen.contains(text_of(pass, {t.kernel, t.tile}))) << text_of(pass, {t.kernel, t.tile});
            }
    for (const HaloTile& t : kHaloTiles)
        EXPECT_TRUE(halo.contains(text_of(Pass::forward, t.choice()))) << text_of(Pass::forward, t.choice());
    EXPECT_EQ(runs, (std::set<int>{1, 2, 3, 4}));
}

// Nothing that was measured takes less than the choice by the model.
TEST_F(ConvPlan, ChoiceIsTheLeast) {
    int unmeasured = 0;
    for_layers([&](const ConvShape& s) {
        if (s.x.n % 128 != 0) return;
        for (const auto& [pass, extras] : kAsked) {
            const ConvChoice choice = conv_choice(s, pass, extras);
            EXPECT_EQ(choice, conv_choice(s, pass, extras)) << "remembered";
            const double chosen = seconds(s, pass, choice, extras);
            unmeasured += !was_measured(s, pass, choice);
            for (const ConvChoice other : conv_choices(s, pass, extras))
                if (was_measured(s, pass, other)) {
                    EXPECT_LE(chosen, seconds(s, pass, other, extras));
                }
        }
    });
    EXPECT_GT(unmeasured, 0);
}

// What was not measured has to be well ahead, where no wider layer takes it.
TEST_F(ConvPlan, UnmeasuredKernelsAreWellAhead) {
    for (const auto& [pass, extras] : kAsked)
        for (const ConvShape& s :
             {conv(256, 512, 7, 512, 3, 1), conv(256, 512, 14, 512, 1, 1), conv(256, 512, 7, 512, 1, 1),
              conv(256, 512, 14, 512, 3, 2), conv(32, 512, 7, 512, 3, 1)}) {
            const ConvChoice choice = conv_choice(s, pass, extras);
            if (was_measured(s, pass, choice)) continue;
            const double chosen = seconds(s, pass, choice, extras);
            for (const ConvChoice other : conv_choices(s, pass, extras))
                if (was_measured(s, pass, other)) {
                    EXPECT_LE(chosen, 0.9001 * (seconds(s, pass, other, extras) - 2e-6)) << text_of(pass, choice);
                }
        }
}

// Lines of an H200 at batch 256: of those that were measured the faster. (By the model the layer of 121 channels is still
// faster on stream 192x192, that of 65 on patch 256x64.)
TEST_F(ConvPlan, AsMeasured) {
    const auto expect = [](const ConvShape& s, Pass pass, const char* wanted) {
        std::vector<ConvChoice> measured = conv_choices(s, pass);
        std::erase_if(measured, [&](const ConvChoice& c) { return !was_measured(s, pass, c); });
        const auto least =
            std::ranges::min_element(measured, {}, [&](const ConvChoice& c) { return seconds(s, pass, c); });
        EXPECT_EQ(text_of(pass, *least), wanted) << s.x.c << ">" << s.w.k << "@" << s.x.h << " / " << s.stride;
        if (std::min(s.x.c, s.w.k) >= 64 && s.x.c % 64 == 0) {
            EXPECT_EQ(text_of(pass, conv_choice(s, pass, {})), wanted);
        }
    };
    using enum Pass;
    expect(conv(256, 3, 224, 64, 7, 2), forward, "y halo_wgmma 256x64");
    expect(conv(256, 64, 56, 64, 3, 1), forward, "y patch 256x64");
    expect(conv(256, 64, 56, 64, 3, 1), data, "dx patch 256x64");
    expect(conv(256, 64, 112, 128, 3, 1), forward, "y patch 256x128");
    expect(conv(256, 256, 14, 256, 3, 1), forward, "y stream 192x256");
    expect(conv(256, 512, 28, 512, 3, 1), forward, "y stream 192x256");
    expect(conv(256, 121, 14, 149, 3, 1), forward, "y pixels 128x160");
    expect(conv(256, 21, 56, 16, 3, 1), forward, "y halo 448x16");
    expect(conv(256, 65, 28, 35, 3, 1), forward, "y halo 256x40");
    expect(conv(256, 64, 56, 128, 3, 2), data, "dx strided 128x64");
    expect(conv(256, 128, 56, 128, 3, 2), data, "dx strided 128x128");
    expect(conv(256, 64, 56, 128, 3, 2), filter, "dw taps 64x64");
    expect(conv(256, 512, 7, 512, 3, 1), filter, "dw rows 64x64");
    expect(conv(256, 64, 56, 128, 1, 2), filter, "dw filter 128x128");
    // Few channels are not for the halo kernels where they are 64: 176 us with moments, 92 in tiles of 256x128.
    EXPECT_NE(conv_choice(conv(256, 64, 56, 128, 3, 2), forward, {.moments = true}).kernel, ConvKernel::halo);
}

// Maps of these widths just leave room for the ring; moments must not take it.
TEST_F(ConvPlan, PatchesFitWideMaps) {
    for (const int width : {112, 127, 128, 130}) {
        const ConvShape s = conv(8, 64, width, 128, 3, 1);
        EXPECT_TRUE(fits_patches(sizes_of(s, Pass::forward), {256, 128})) << width;
    }
    for (const int width : {112, 159, 160, 162}) {
        const ConvShape s = conv(8, 64, width, 64, 3, 1);
        EXPECT_TRUE(fits_patches(sizes_of(s, Pass::forward), {256, 64})) << width;
    }
    const ConvChoice patch{ConvKernel::patch, {256, 64}};
    EXPECT_TRUE(pixel_plan(conv(8, 64, 112, 64, 3, 1), Pass::forward, patch).stream.resident);
}

// Sums are split over clusters where there are few pixels, and nowhere else.
TEST_F(ConvPlan, SumsAreSplitForFewPixels) {
    const auto splits = [](const ConvShape& s, ConvExtras extras = {.residual = true}) {
        return conv_choice(s, Pass::forward, extras).kernel == ConvKernel::split;
    };
    for (int stage = 0; stage < 4; ++stage) {
        const int c = 64 << stage, side = 56 >> stage;
        EXPECT_TRUE(splits(conv(1, c, side, c, 3, 1))) << c;
        EXPECT_FALSE(splits(conv(1, c, side, c, 3, 1), {.moments = true})) << c << ": it computes none";
        for (const int n : {32, 128, 256}) EXPECT_FALSE(splits(conv(n, c, side, c, 3, 1))) << c << ", batch " << n;
    }
    conv_forced().without = ConvKernel::split;
    EXPECT_FALSE(splits(conv(1, 512, 7, 512, 3, 1)));
}

// No part of a sum is empty.
TEST_F(ConvPlan, PartsOfASumAreNeverEmpty) {
    std::set<int> seen;
    for_layers([&](const ConvShape& s) {
        for (const ConvChoice& c : conv_choices(s, Pass::forward)) {
            if (c.kernel != ConvKernel::split) continue;
            seen.insert(c.parts);
            EXPECT_GE(c.parts, 1);
            EXPECT_LE(c.parts, std::min<int64_t>(kPlannedParts, s.w.r * s.w.s * ceil_div(s.x.stored_c(), 64)));
        }
    });
    EXPECT_EQ(*seen.begin(), 1);
    EXPECT_EQ(*seen.rbegin(), kPlannedParts);
}

TEST_F(ConvPlan, WhatDoesNotFitIsAnError) {
    conv_forced() = {.pixels = ConvKernel::patch};
    EXPECT_THROW(conv_choice(conv(1, 64, 8, 64, 1, 1), Pass::forward), Error);
    conv_forced() = {.pixels = ConvKernel::stream, .tile = {128, 64}};
    EXPECT_THROW(conv_choice(conv(1, 64, 8, 64, 1, 1), Pass::forward), Error);
    conv_forced() = {.pixels = ConvKernel::split};
    EXPECT_THROW(conv_choice(conv(1, 64, 8, 64, 3, 1), Pass::data), Error);
    EXPECT_THROW(conv_choice(conv(1, 64, 8, 64, 3, 1), Pass::forward, {.moments = true}), Error);
    conv_forced() = {.strided = ConvKernel::pixels};
    EXPECT_THROW(conv_choice(conv(1, 64, 8, 64, 3, 2), Pass::data), Error);
    conv_forced() = {.filter = ConvKernel::taps};
    EXPECT_THROW(filter_gradient_plan(conv(1, 64, 8, 64, 1, 1)), Error);
    conv_forced() = {.filter = ConvKernel::filter, .tile = {64, 64}};
    EXPECT_THROW(filter_gradient_plan(conv(1, 64, 8, 64, 1, 1)), Error);
}

}  // namespace
}  // namespace fp
