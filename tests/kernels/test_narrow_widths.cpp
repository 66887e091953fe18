// Removing channels makes nothing slower, by the model of times on an H200 (kernels/cuda/plan/cost.h): single layers, and
// whole networks as pruning leaves them.
#include <gtest/gtest.h>

#include <array>

#include "kernels/cuda/plan/conv_choice.h"
#include "kernels/cuda/plan/cost.h"
#include "kernels/cuda/plan/layout.h"
#include "kernels/error.h"
#include "tests/kernels/planned_conv.h"

namespace fp {
namespace {

struct Planned {
    double seconds;
    ConvChoice choice;
};
Planned planned(const ConvShape& s, Pass pass, ConvExtras extras) {
    const ConvChoice choice = conv_choice(s, pass, extras);
    return {seconds(s, pass, choice, extras), choice};
}

struct Asked {
    Pass pass;
    ConvExtras extras;
};
const Asked kAsked[] = {{Pass::forward, {}},
                        {Pass::forward, {.residual = true}},
                        {Pass::forward, {.moments = true}},
                        {Pass::data, {}},
                        {Pass::filter, {}}};

// A layer's geometry in the networks at 224 pixels.
struct Layer {
    int size, window, stride;
};
const Layer kLayers[] = {{56, 3, 1}, {28, 3, 1}, {14, 3, 1}, {7, 3, 1},  {56, 1, 1}, {28, 1, 1}, {14, 1, 1},
                         {7, 1, 1},  {56, 3, 2}, {28, 3, 2}, {14, 3, 2}, {56, 1, 2}, {28, 1, 2}, {14, 1, 2}};

// By how much the narrower of two layers takes longer; up to 1.2 us, which is some launches' tail, counts as nothing.
struct Worst {
    double over = 0;
    std::string what = {};

    void see(const Planned& narrow, const Planned& wide, const std::string& where) {
        if (narrow.seconds - wide.seconds <= 1.2e-6) return;
        if (const double now = narrow.seconds / wide.seconds - 1; now > over) {
            over = now;
            what = text(where, ": ", narrow.seconds * 1e6, " us by ", name_of(narrow.choice.kernel), " ",
                        narrow.choice.tile.m, "x", narrow.choice.tile.n, ", ", wide.seconds * 1e6, " us by ",
                        name_of(wide.choice.kernel), " ", wide.choice.tile.m, "x", wide.choice.tile.n);
        }
    }
};

// Compares neighbours in C, in K and in both, `step` channels apart, up to 512.
Worst worst_of(const Layer& l, const Asked& a, int step, int first) {
    Worst worst;
    const auto at = [&](int c, int k) {
        return planned(conv(256, c, l.size, k, l.window, l.stride), a.pass, a.extras);
    };
    const auto compare = [&](int c, int k, int wide_c, int wide_k) {
        worst.see(at(c, k), at(wide_c, wide_k),
                  text(c, ">", k, " and ", wide_c, ">", wide_k, " at ", l.size, ", ", l.window, "x", l.window, " / ",
                       l.stride, ", pass ", int(a.pass), a.extras.moments ? " moments" : ""));
    };
    for (int w = first; w + step <= 512; w += step) {
        compare(w, w, w + step, w + step);
        for (const int other : {16, 64, 96, 256, 512}) {
            compare(w, other, w + step, other);
            compare(other, w, other, w + step);
        }
    }
    return worst;
}

TEST(NarrowWidths, NoLayerIsSlowerWithFewerChannels) {
    for (const Layer& l : kLayers)
        for (const Asked& a : kAsked) {
            const Worst worst = worst_of(l, a, 16, 16);
            // How a filter gradient's sum is split counts steps, not the model's seconds: 512>448 at 14 / 2.
            EXPECT_LE(worst.over, a.pass == Pass::filter ? 0.05 : 0.01) << worst.what;
        }
}

// Pixels of 8, 24, 40 or 56 channels are no multiple of 32 bytes, so that TMA copies them at half the rate. Layers that
// read them so (1x1, stride 2, many outputs) may take longer than with 8 more channels; 3x3 layers gain more, and so do
// networks, below.
TEST(NarrowWidths, HalfSectorsCostNoMoreThanTheirCopies) {
    for (const Layer& l : kLayers)
        for (const Asked& a : kAsked) {
            const Worst worst = worst_of(l, a, 8, 8);
            EXPECT_LE(worst.over, 0.6) << worst.what;
        }
}

// A training step and an inference of a ResNet, convolutions and the maps that batch norm reads and writes.
struct Network {
    int n;
    double infer = 0, train = 0;

    void add(int c, int size, int k, int window, int stride, bool residual = false) {
        const ConvShape s = conv(n, c, size, k, window, stride);
        infer += planned(s, Pass::forward, {.residual = residual}).seconds;
        train += planned(s, Pass::forward, {.moments = true}).seconds + planned(s, Pass::filter, {}).seconds;
        if (c > 4) train += planned(s, Pass::data, {}).seconds;
        train += cost(kDevice, Moving::others, 2.0 * double(s.y().stored()) * (7 + 2 * residual)).seconds();
    }
};
// The sets of channels that are pruned together: each stage's stream, and the inner ones of each block.
struct Widths {
    std::array<int, 4> stage;
    std::array<int, 8> inner;

    // The first stage has `width` channels, each next one twice as many; streams of bottlenecks 4 times as many.
    static Widths of(int width, bool bottlenecks) {
        Widths out{};
        for (int i = 0; i < 4; ++i) {
            out.stage[i] = (bottlenecks ? 4 * width : width) << i;
            out.inner[2 * i] = out.inner[2 * i + 1] = width << i;
        }
        return out;
    }
};
// Two blocks per stage.
Network resnet(int n, int size, const Widths& w, bool bottlenecks) {
    Network out{.n = n};
    int c = bottlenecks ? w.inner[0] : w.stage[0], side = size / 4;
    out.add(3, size, c, 7, 2);
    for (int block = 0; block < 8; ++block) {
        const int inner = w.inner[block], outer = w.stage[block / 2];
        const bool first = block % 2 == 0;
        const int stride = first && block > 0 ? 2 : 1, to = side / stride;
        if (bottlenecks) out.add(c, side, inner, 1, 1);
        out.add(bottlenecks ? inner : c, side, inner, 3, stride);
        out.add(inner, to, outer, bottlenecks ? 1 : 3, 1, true);
        if (first && (bottlenecks || block > 0)) out.add(c, side, outer, 1, stride);
        c = outer;
        side = to;
    }
    return out;
}

// 3 us of some 100 more for few images at inference, where a wider layer's sums are split over clusters and those of 40
// channels, as copies of half sectors, are not.
void expect_no_slower(const Network& narrow, const Network& wide, const std::string& what) {
    EXPECT_LE(narrow.infer, 1.01 * wide.infer + 3e-6) << what;
    EXPECT_LE(narrow.train, 1.01 * wide.train) << what;
}

TEST(NarrowWidths, NoNetworkIsSlowerWithFewerChannels) {
    for (const bool bottlenecks : {false, true})
        for (const int n : {32, 256})
            for (const int size : {64, 224})
                for (int width = 9; width <= 64; ++width)
                    expect_no_slower(resnet(n, size, Widths::of(width - 1, bottlenecks), bottlenecks),
                                     resnet(n, size, Widths::of(width, bottlenecks), bottlenecks),
                                     text(width, " at ", size, ", batch ", n));
}

// One set of channels that shrinks by 8 at a time in a network that is whole otherwise.
TEST(NarrowWidths, NoNetworkIsSlowerWithFewerChannelsInOneSet) {
    for (const bool bottlenecks : {false, true})
        for (int set = 0; set < 12; ++set) {
            Widths w = Widths::of(64, bottlenecks);
            int& changed = set < 4 ? w.stage[set] : w.inner[set - 4];
            Network before = resnet(256, 224, w, bottlenecks);
            for (changed -= 8; changed >= 8; changed -= 8) {
                const Network now = resnet(256, 224, w, bottlenecks);
                expect_no_slower(now, before, text("set ", set, " of ", changed));
                before = now;
            }
        }
}

// Three quarters of the width had cost what the whole width does.
TEST(NarrowWidths, ThreeQuartersOfTheWidthSaveTime) {
    EXPECT_LT(resnet(256, 224, Widths::of(48, false), false).infer,
              0.8 * resnet(256, 224, Widths::of(64, false), false).infer);
}

}  // namespace
}  // namespace fp
