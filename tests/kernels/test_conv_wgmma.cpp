// Convolutions on Hopper's warpgroup products, on the emulated machine and on a GPU: every kernel, tile, pass and
// stride, with widths and maps that no tile divides.
#include <numeric>

#include "tests/kernels/conv_wgmma_test.h"

namespace fp::testing {
namespace {

std::string text_of(TileSize t) { return text(t.m, "x", t.n); }

std::vector<ConvTile> tiles_of(ConvKernel kernel, Pass pass) {
    std::vector<ConvTile> all;
    for (const ConvTile& t : kConvTiles)
        if (t.kernel == kernel && t.passes & bit(pass)) all.push_back(t);
    return all;
}

INSTANTIATE_TEST_SUITE_P(Kernels,
                         ConvWgmma,
                         ::testing::Values(Table{Backend::emulated, Precision::bf16},
                                           Table{Backend::cuda, Precision::bf16}),
                         table_name);

// ---- forward, and the input's gradient at stride 1: one block per tile

TEST_P(ConvWgmma, ForwardInEveryTile) {
    for (const ConvTile& of : tiles_of(ConvKernel::pixels, Pass::forward)) {
        SCOPED_TRACE(text_of(of.tile));
        conv_forced() = {.pixels = ConvKernel::pixels, .tile = of.tile};
        expect_forward(ragged(72, of.tile.n + 8));
        expect_infer(ragged(40, of.tile.n - 11, 1, 2));
    }
}

TEST_P(ConvWgmma, InputGradientInEveryTile) {
    for (const ConvTile& of : tiles_of(ConvKernel::pixels, Pass::data)) {
        SCOPED_TRACE(text_of(of.tile));
        conv_forced() = {.pixels = ConvKernel::pixels, .tile = of.tile};
        expect_data(ragged(of.tile.n + 8, 72));
        expect_data(ragged(of.tile.n - 3, 16, 1));
    }
}

// Sums of one, several and ragged chunks of channels; windows that hang over the map on any side or none.
TEST_P(ConvWgmma, InputGradientOfAwkwardShapes) {
    conv_forced() = {.pixels = ConvKernel::pixels};
    for (const ConvCase& c : {ConvCase{"72 filters", {.n = 2, .c = 40, .h = 5, .w = 6}, 72, 3, 1, 1},
                              ConvCase{"131 filters", {.n = 1, .c = 17, .h = 6, .w = 5}, 131, 3, 1, 1},
                              ConvCase{"no padding", {.n = 2, .c = 33, .h = 7, .w = 5}, 17, 3, 1, 0},
                              ConvCase{"more padding than window", {.n = 1, .c = 24, .h = 4, .w = 5}, 40, 3, 1, 4},
                              ConvCase{"5x5", {.n = 1, .c = 16, .h = 6, .w = 9}, 24, 5, 1, 2},
                              ConvCase{"on one pixel", {.n = 5, .c = 48, .h = 1, .w = 1}, 100, 3, 1, 1}})
        expect_data(c);
}

// ---- the same with persistent blocks

TEST_P(ConvWgmma, BlocksThatWalk) {
    for (const ConvTile& of : tiles_of(ConvKernel::stream, Pass::forward)) {
        const TileSize tile = of.tile;
        SCOPED_TRACE(text_of(tile));
        conv_forced() = {.pixels = ConvKernel::stream, .tile = tile, .blocks = 1};
        expect_forward(ragged(72, tile.n + 8));
        expect_data(ragged(tile.n + 8, 72));
        conv_forced().blocks = 3;
        expect_infer(ragged(40, tile.n + 8));
        expect_infer(ragged(24, tile.n - 11, 1, 2));
        expect_data(ragged(tile.n - 3, 16, 1));
    }
}

TEST_P(ConvWgmma, BlocksThatWalkOverPatches) {
    for (const ConvTile& of : tiles_of(ConvKernel::patch, Pass::forward)) {
        const TileSize tile = of.tile;
        SCOPED_TRACE(text_of(tile));
        conv_forced() = {.pixels = ConvKernel::patch, .tile = tile, .blocks = 1};
        expect_forward(ragged(72, tile.n + 8));  // filters come with every tile
        expect_data(ragged(tile.n + 8, 72));
        expect_forward(ragged(64, 40));  // of 64 outputs they stay
        conv_forced().blocks = 3;
        expect_infer(ragged(136, tile.n - 11));
        expect_data(ragged(tile.n - 3, 24));
        expect_infer({"long rows", {.n = 1, .c = 16, .h = 6, .w = 70}, 24, 3, 1, 1});
    }
}

// ---- the input's gradient at stride 2

TEST_P(ConvWgmma, InputGradientAtStride2) {
    for (const ConvTile& of : tiles_of(ConvKernel::strided, Pass::data)) {
        SCOPED_TRACE(text_of(of.tile));
        conv_forced() = {.strided = of.kernel, .tile = of.tile};
        for (const ConvCase& c : {ConvCase{"3x3, 64", {.n = 3, .c = 64, .h = 14, .w = 14}, 128, 3, 2, 1},
                                  ConvCase{"3x3, odd", {.n = 5, .c = 120, .h = 13, .w = 7}, 61, 3, 2, 1},
                                  ConvCase{"3x3, long", {.n = 2, .c = 136, .h = 15, .w = 12}, 264, 3, 2, 1},
                                  ConvCase{"3x3, one pixel", {.n = 7, .c = 64, .h = 1, .w = 1}, 64, 3, 2, 1},
                                  ConvCase{"3x3, two", {.n = 7, .c = 64, .h = 2, .w = 3}, 64, 3, 2, 1},
                                  ConvCase{"1x1", {.n = 3, .c = 128, .h = 14, .w = 14}, 200, 1, 2, 0},
                                  ConvCase{"1x1, odd", {.n = 5, .c = 61, .h = 7, .w = 9}, 320, 1, 2, 0}})
            expect_data(c);
    }
}

// ---- the filters' gradient

TEST_P(ConvWgmma, FilterGradientInEveryTile) {
    for (const ConvTile& of : tiles_of(ConvKernel::filter, Pass::filter))
        for (const int parts : {1, 3}) {
            SCOPED_TRACE(text(text_of(of.tile), ", parts ", parts));
            conv_forced() = {.filter = ConvKernel::filter, .tile = of.tile, .parts = parts};
            ConvCase c = ragged(of.tile.m - 3, of.tile.n + 8, 1);
            c.x.n = 6;  // 14 steps of 64 pixels
            expect_filter(c);
        }
}

TEST_P(ConvWgmma, FilterGradientOfAwkwardShapes) {
    conv_forced() = {.filter = ConvKernel::filter};
    for (const ConvCase& c : {ConvCase{"parts", {.n = 3, .c = 64, .h = 13, .w = 11}, 64, 3, 1, 1},
                              ConvCase{"ragged channels", {.n = 2, .c = 61, .h = 7, .w = 9}, 77, 3, 1, 1},
                              ConvCase{"stride 2", {.n = 2, .c = 64, .h = 9, .w = 7}, 72, 3, 2, 1},
                              ConvCase{"1x1, stride 2", {.n = 3, .c = 128, .h = 9, .w = 9}, 48, 1, 2, 0},
                              ConvCase{"no padding", {.n = 2, .c = 64, .h = 6, .w = 5}, 40, 3, 1, 0},
                              ConvCase{"on one pixel", {.n = 5, .c = 128, .h = 1, .w = 1}, 100, 3, 1, 1}})
        expect_filter(c);
}

// All taps in one block, with sums long enough that the ring of x comes round, and maps that reach one to five panels.
TEST_P(ConvWgmma, FilterGradientOfAllTaps) {
    for (const ConvKernel kernel : {ConvKernel::taps, ConvKernel::rows})
        for (const int parts : {1, 3}) {
            SCOPED_TRACE(text(kernel == ConvKernel::taps ? "taps" : "rows", ", parts ", parts));
            conv_forced() = {.filter = kernel, .parts = parts};
            for (const ConvCase& c : {ConvCase{"5 x 7", {.n = 70, .c = 64, .h = 5, .w = 7}, 64, 3, 1, 1},
                                      ConvCase{"14", {.n = 9, .c = 120, .h = 14, .w = 14}, 61, 3, 1, 1},
                                      ConvCase{"56 wide", {.n = 1, .c = 64, .h = 21, .w = 56}, 72, 3, 1, 1},
                                      ConvCase{"130 wide", {.n = 2, .c = 64, .h = 5, .w = 130}, 64, 3, 1, 1},
                                      ConvCase{"14 / 2", {.n = 20, .c = 64, .h = 14, .w = 14}, 64, 3, 2, 1},
                                      ConvCase{"13 x 29 / 2", {.n = 7, .c = 120, .h = 13, .w = 29}, 125, 3, 2, 1},
                                      ConvCase{"112 wide / 2", {.n = 2, .c = 64, .h = 12, .w = 112}, 64, 3, 2, 1}})
                if (kernel == ConvKernel::taps || c.stride == 1) expect_filter(c);
        }
}

// ---- what holds for all of them

struct Choice {
    const char* name;
    ConvForced forced;
    int stride = 1;
};
const Choice kChoices[] = {
    {"pixels, filter", {.pixels = ConvKernel::pixels, .filter = ConvKernel::filter, .parts = 2}},
    {"stream, taps", {.pixels = ConvKernel::stream, .filter = ConvKernel::taps, .parts = 2}},
    {"patch, rows", {.pixels = ConvKernel::patch, .filter = ConvKernel::rows, .parts = 2}},
    {"strided, taps", {.strided = ConvKernel::strided, .filter = ConvKernel::taps, .parts = 2}, 2},
};

TEST_P(ConvWgmma, BitsAreTheSameInEveryOrder) {
    for (const Choice& choice : kChoices) {
        SCOPED_TRACE(choice.name);
        conv_forced() = choice.forced;
        const ConvCase c{"", {.n = 3, .c = 64, .h = 13, .w = 11}, 72, 3, choice.stride, 1};
        const Inputs in = random_inputs(c, Type::bf16, Type::f32);
        Values y, dx, dw;
        for (const uint64_t seed : {0, 1, 2, 3})
            for (const bool late : {true, false}) {
                emulated::settings().seed = seed;
                emulated::settings().late_copy = late;
                emulated::settings().os_threads = seed % 2 ? 2 : 1;
                const Values y_now = forward(table(), c, in, true);
                const Values dx_now = backward_data(table(), c, in, Write::replace);
                const Values dw_now = backward_filter(table(), c, in, false, Write::replace).dw;
                if (dx.empty()) y = y_now, dx = dx_now, dw = dw_now;
                EXPECT_EQ(y_now, y) << "seed " << seed << ", late " << late;
                EXPECT_EQ(dx_now, dx) << "seed " << seed << ", late " << late;
                EXPECT_EQ(dw_now, dw) << "seed " << seed << ", late " << late;
            }
    }
}

// y is linear in x and in w: sum dy y = sum dx x = sum dw w, but for the rounding of y and dx to bf16.
TEST_P(ConvWgmma, GradientsAreTheForwardsAdjoint) {
    const auto dot = [](const Values& a, const Values& b) {
        return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
    };
    for (const Choice& choice : kChoices) {
        SCOPED_TRACE(choice.name);
        conv_forced() = choice.forced;
        const ConvCase c{"", {.n = 2, .c = 61, .h = 9, .w = 7}, 72, 3, choice.stride, 1};
        const Inputs in = random_inputs(c, Type::bf16, Type::bf16);  // what the products see of w
        const Values y = forward(table(), c, in, false);
        const double length = std::sqrt(dot(in.dy, in.dy) * dot(y, y));
        EXPECT_NEAR(dot(backward_data(table(), c, in, Write::replace), in.x), dot(in.dy, y), 2e-3 * length);
        EXPECT_NEAR(dot(backward_filter(table(), c, in, false, Write::replace).dw, in.w), dot(in.dy, y), 2e-3 * length);
    }
}

// Padding counts: these maps have fewer than 2^31 pixels, and more places.
TEST_P(ConvWgmma, RefusesMorePlacesThanItCounts) {
    const ConvCase c{"", {.n = 1 << 29, .c = 8, .h = 2, .w = 1}, 8, 3, 1, 1};
    conv_forced().filter = ConvKernel::taps;
    EXPECT_THROW(
        table().conv.backward_filter(
            shape_on({table()}, c),
            {.x = nullptr, .dy = nullptr, .dw = nullptr, .dbias = nullptr, .write = Write::replace}, nullptr, {}),
        Error);
}

}  // namespace
}  // namespace fp::testing
