// The gradients on Hopper's warpgroup products, on the machine that plays one: every tile, with widths and maps that
// fit none, and what they read and write.
#include <cstdlib>
#include <numeric>
#include <set>

#include "kernels/machine/emulated/settings.h"
#include "kernels/products.h"
#include "tests/kernels/conv_calls.h"

namespace fp::testing {
namespace {

const Kernels& table() { static const bool on = std::getenv("FP_WGMMA_CUDA") != nullptr; return kernels(on ? Backend::cuda : Backend::emulated, Precision::bf16); }

TileSize tile_of(const ConvShape& s, Pass pass) { return wgmma_tile_of(s, pass).tile; }

class ConvWgmma : public ::testing::Test {
protected:
    ~ConvWgmma() override { emulated::settings() = before_; }

    void expect_data(const ConvCase& c) {
        SCOPED_TRACE(c.name);
        EXPECT_TRUE(takes_wgmma(shape_on({table()}, c), Pass::data));
        const Inputs in = random_inputs(c, Type::bf16, Type::f32);
        for (const Write write : {Write::replace, Write::add})
            expect_close(backward_data(table(), c, in, write), backward_data(exact(), c, in, write),
                         tolerance(Type::bf16), write == Write::add ? "dx added" : "dx");
    }
    void expect_filter(const ConvCase& c) {
        SCOPED_TRACE(c.name);
        EXPECT_TRUE(takes_wgmma(shape_on({table()}, c), Pass::filter));
        const Inputs in = random_inputs(c, Type::bf16, Type::f32);
        for (const Write write : {Write::replace, Write::add}) {
            const auto got = backward_filter(table(), c, in, true, write);
            const auto want = backward_filter(exact(), c, in, true, write);
            // Nothing but the inputs is rounded to bf16, and they are given so.
            expect_close(got.dw, want.dw, tolerance(Type::f32), "dw");
            expect_close(got.dbias, want.dbias, tolerance(Type::f32), "dbias");
        }
    }

    emulated::Settings before_ = emulated::settings();
};

std::set<std::pair<int, int>> all_tiles() {
    std::set<std::pair<int, int>> all;
    for (const TileCost& c : kWgmmaAcrossTiles) all.insert({c.tile.m, c.tile.n});
    return all;
}

TEST_F(ConvWgmma, InputGradientInEveryTile) {
    std::set<std::pair<int, int>> seen;
    for (const ConvCase& c :
         {ConvCase{"256 x 128", {.n = 2, .c = 125, .h = 93, .w = 95}, 16, 1, 1, 0},
          ConvCase{"256 x 64", {.n = 2, .c = 61, .h = 93, .w = 95}, 16, 1, 1, 0},
          ConvCase{"128 x 128", {.n = 2, .c = 122, .h = 65, .w = 67}, 16, 1, 1, 0},
          ConvCase{"128 x 64", {.n = 2, .c = 60, .h = 65, .w = 67}, 16, 1, 1, 0}}) {
        expect_data(c);
        const TileSize t = tile_of(shape_on({table()}, c), Pass::data);
        seen.insert({t.m, t.n});
    }
    EXPECT_EQ(seen, all_tiles());
}

// Sums of one, several and ragged chunks of channels; windows that hang over the map on any side or none.
TEST_F(ConvWgmma, InputGradientOfAwkwardShapes) {
    for (const ConvCase& c :
         {ConvCase{"72 filters", {.n = 2, .c = 40, .h = 5, .w = 6}, 72, 3, 1, 1},
          ConvCase{"131 filters", {.n = 1, .c = 17, .h = 6, .w = 5}, 131, 3, 1, 1},
          ConvCase{"no padding", {.n = 2, .c = 33, .h = 7, .w = 5}, 17, 3, 1, 0},
          ConvCase{"more padding than window", {.n = 1, .c = 24, .h = 4, .w = 5}, 40, 3, 1, 4},
          ConvCase{"5x5", {.n = 1, .c = 16, .h = 6, .w = 9}, 24, 5, 1, 2},
          ConvCase{"on one pixel", {.n = 5, .c = 48, .h = 1, .w = 1}, 100, 3, 1, 1}})
        expect_data(c);
}

TEST_F(ConvWgmma, FilterGradientInEveryTile) {
    std::set<std::pair<int, int>> seen;
    for (const ConvCase& c :
         {ConvCase{"256 x 128", {.n = 1, .c = 253, .h = 5, .w = 5}, 125, 1, 1, 0},
          ConvCase{"256 x 64", {.n = 1, .c = 253, .h = 5, .w = 5}, 61, 1, 1, 0},
          ConvCase{"128 x 128", {.n = 3, .c = 127, .h = 5, .w = 5}, 125, 1, 1, 0},
          ConvCase{"128 x 64", {.n = 3, .c = 127, .h = 5, .w = 5}, 31, 1, 1, 0}}) {
        expect_filter(c);
        const TileSize t = tile_of(shape_on({table()}, c), Pass::filter);
        seen.insert({t.m, t.n});
    }
    EXPECT_EQ(seen, all_tiles());
}

TEST_F(ConvWgmma, FilterGradientOfAwkwardShapes) {
    for (const ConvCase& c :
         {ConvCase{"parts", {.n = 3, .c = 64, .h = 13, .w = 11}, 64, 3, 1, 1},
          ConvCase{"ragged channels", {.n = 2, .c = 61, .h = 7, .w = 9}, 77, 3, 1, 1},
          ConvCase{"stride 2", {.n = 2, .c = 64, .h = 9, .w = 7}, 72, 3, 2, 1},
          ConvCase{"1x1, stride 2", {.n = 3, .c = 128, .h = 9, .w = 9}, 48, 1, 2, 0},
          ConvCase{"no padding", {.n = 2, .c = 64, .h = 6, .w = 5}, 40, 3, 1, 0},
          ConvCase{"on one pixel", {.n = 5, .c = 128, .h = 1, .w = 1}, 100, 3, 1, 1}})
        expect_filter(c);
}

// All taps in one block, with sums long enough that the ring of x comes round, and maps that reach one to five panels.
TEST_F(ConvWgmma, FilterGradientOfAllTaps) {
    for (const char* choice : {"2", "3", "4", "5"})
        for (const char* parts : {"1", "3"}) {
            setenv("FP_FILTER", choice, 1);
            setenv("FP_FILTER_PARTS", parts, 1);
            SCOPED_TRACE(text("FP_FILTER ", choice, ", parts ", parts));
            for (const ConvCase& c :
                 {ConvCase{"5 x 7", {.n = 70, .c = 64, .h = 5, .w = 7}, 64, 3, 1, 1},
                  ConvCase{"14", {.n = 9, .c = 120, .h = 14, .w = 14}, 61, 3, 1, 1},
                  ConvCase{"28", {.n = 3, .c = 64, .h = 28, .w = 28}, 72, 3, 1, 1},
                  ConvCase{"56 wide", {.n = 1, .c = 64, .h = 21, .w = 56}, 64, 3, 1, 1},
                  ConvCase{"130 wide", {.n = 2, .c = 64, .h = 5, .w = 130}, 64, 3, 1, 1},
                  ConvCase{"14 / 2", {.n = 20, .c = 64, .h = 14, .w = 14}, 64, 3, 2, 1},
                  ConvCase{"13 x 29 / 2", {.n = 7, .c = 120, .h = 13, .w = 29}, 125, 3, 2, 1},
                  ConvCase{"112 wide / 2", {.n = 2, .c = 64, .h = 12, .w = 112}, 64, 3, 2, 1}})
                expect_filter(c);
        }
    unsetenv("FP_FILTER");
    unsetenv("FP_FILTER_PARTS");
}

TEST_F(ConvWgmma, InputGradientAtStride2) {
    for (const char* choice : {"1", "2", "3", "4"}) {
        setenv("FP_DATA2", choice, 1);
        SCOPED_TRACE(text("FP_DATA2 ", choice));
        for (const ConvCase& c :
             {ConvCase{"3x3, 64", {.n = 3, .c = 64, .h = 14, .w = 14}, 128, 3, 2, 1},
              ConvCase{"3x3, odd", {.n = 5, .c = 120, .h = 13, .w = 7}, 61, 3, 2, 1},
              ConvCase{"3x3, long", {.n = 2, .c = 136, .h = 15, .w = 12}, 264, 3, 2, 1},
              ConvCase{"3x3, one pixel", {.n = 7, .c = 64, .h = 1, .w = 1}, 64, 3, 2, 1},
              ConvCase{"3x3, two", {.n = 7, .c = 64, .h = 2, .w = 3}, 64, 3, 2, 1},
              ConvCase{"1x1", {.n = 3, .c = 128, .h = 14, .w = 14}, 200, 1, 2, 0},
              ConvCase{"1x1, odd", {.n = 5, .c = 61, .h = 7, .w = 9}, 320, 1, 2, 0}}) {
            SCOPED_TRACE(c.name);
            const Inputs in = random_inputs(c, Type::bf16, Type::f32);
            for (const Write write : {Write::replace, Write::add})
                expect_close(backward_data(table(), c, in, write),
                             backward_data(exact(), c, in, write), tolerance(Type::bf16),
                             write == Write::add ? "dx added" : "dx");
        }
    }
    unsetenv("FP_DATA2");
}

TEST_F(ConvWgmma, LongRingsData) {
    for (const ConvCase& c :
         {ConvCase{"256 at 14", {.n = 16, .c = 256, .h = 14, .w = 14}, 256, 3, 1, 1},
          ConvCase{"64 at 28", {.n = 32, .c = 64, .h = 28, .w = 28}, 64, 3, 1, 1},
          ConvCase{"128 at 14", {.n = 16, .c = 128, .h = 14, .w = 14}, 192, 3, 1, 1},
          ConvCase{"512 at 7", {.n = 8, .c = 512, .h = 7, .w = 7}, 512, 3, 1, 1}})
        expect_data(c);
}

TEST_F(ConvWgmma, LongRingsFilter) {
    for (const ConvCase& c :
         {ConvCase{"256 at 14", {.n = 16, .c = 256, .h = 14, .w = 14}, 256, 3, 1, 1},
          ConvCase{"64 at 28", {.n = 32, .c = 64, .h = 28, .w = 28}, 64, 3, 1, 1},
          ConvCase{"128 at 14", {.n = 16, .c = 128, .h = 14, .w = 14}, 192, 3, 1, 1},
          ConvCase{"128 at 28 / 2", {.n = 16, .c = 128, .h = 28, .w = 28}, 256, 3, 2, 1},
          ConvCase{"256 at 28 / 2, 1x1", {.n = 16, .c = 256, .h = 28, .w = 28}, 512, 1, 2, 0},
          ConvCase{"512 at 7", {.n = 8, .c = 512, .h = 7, .w = 7}, 512, 3, 1, 1}})
        expect_filter(c);
}

// conv_stream.cuh: every tile, few blocks with many tiles each, so that rings go round; halves in the last round.
TEST_F(ConvWgmma, BlocksThatStay) {
    const auto set = [](const char* name, const char* value) { setenv(name, value, 1); };
    for (const char* tile : {"patch", "256x64", "256x128", "128x256", "192x256"})
        for (const char* blocks : {"1", "3"}) {
            SCOPED_TRACE(text(tile, " on ", blocks, " blocks"));
            const bool patch = std::string(tile) == "patch";
            set("FP_CONV", "stream");
            set("FP_CONV_BLOCKS", blocks);
            set("FP_CONV_PATCH", patch ? "1" : "0");
            set("FP_CONV_TILE", tile);
            for (const ConvCase& c :
                 {ConvCase{"64 channels", {.n = 3, .c = 64, .h = 21, .w = 23}, 64, 3, 1, 1},
                  ConvCase{"two chunks", {.n = 4, .c = 128, .h = 15, .w = 17}, 128, 3, 1, 1},
                  ConvCase{"ragged", {.n = 5, .c = 72, .h = 16, .w = 13}, 136, 3, 1, 1},
                  ConvCase{"few channels", {.n = 3, .c = 24, .h = 19, .w = 21}, 40, 3, 1, 1},
                  ConvCase{"1x1", {.n = 3, .c = 64, .h = 21, .w = 23}, 264, 1, 1, 0}}) {
                SCOPED_TRACE(c.name);
                const Inputs in = random_inputs(c, Type::bf16, Type::f32);
                expect_close(forward(table(), c, in, true), forward(exact(), c, in, true),
                             tolerance(Type::bf16), "y");
                expect_close(infer(table(), c, in, true, true, true),
                             infer(exact(), c, in, true, true, true), tolerance(Type::bf16),
                             "inferred");
                if (takes_wgmma(shape_on({table()}, c), Pass::data)) expect_data(c);
            }
        }
    for (const char* name : {"FP_CONV", "FP_CONV_BLOCKS", "FP_CONV_PATCH", "FP_CONV_TILE"})
        unsetenv(name);
}

TEST_F(ConvWgmma, BitsAreTheSameInEveryOrder) {
    const ConvCase c{"", {.n = 3, .c = 64, .h = 13, .w = 11}, 72, 3, 1, 1};
    EXPECT_TRUE(takes_wgmma(shape_on({table()}, c), Pass::data));
    EXPECT_TRUE(takes_wgmma(shape_on({table()}, c), Pass::filter));
    const Inputs in = random_inputs(c, Type::bf16, Type::f32);
    Values dx, dw;
    for (const uint64_t seed : {0, 1, 2, 3})
        for (const bool late : {true, false}) {
            emulated::settings().seed = seed;
            emulated::settings().late_copy = late;
            emulated::settings().os_threads = seed % 2 ? 2 : 1;
            const Values dx_now = backward_data(table(), c, in, Write::replace);
            const Values dw_now = backward_filter(table(), c, in, false, Write::replace).dw;
            if (dx.empty()) dx = dx_now, dw = dw_now;
            EXPECT_EQ(dx_now, dx) << "seed " << seed << ", late " << late;
            EXPECT_EQ(dw_now, dw) << "seed " << seed << ", late " << late;
        }
}

TEST_F(ConvWgmma, PrototypesBitsAreTheSameInEveryOrder) {
    for (const int stride : {1, 2})
        for (const char* choice : {"1", "2", "3", "4"}) {
            setenv("FP_FILTER", choice, 1);
            setenv("FP_FILTER_PARTS", "2", 1);
            setenv("FP_DATA2", choice[0] % 2 ? "1" : "2", 1);
            const ConvCase c{"", {.n = 9 * stride, .c = 64, .h = 13, .w = 11}, 72, 3, stride, 1};
            const Inputs in = random_inputs(c, Type::bf16, Type::f32);
            Values dx, dw;
            for (const uint64_t seed : {0, 1, 2, 3})
                for (const bool late : {true, false}) {
                    emulated::settings().seed = seed;
                    emulated::settings().late_copy = late;
                    emulated::settings().os_threads = seed % 2 ? 2 : 1;
                    const Values dx_now = backward_data(table(), c, in, Write::replace);
                    const Values dw_now = backward_filter(table(), c, in, false, Write::replace).dw;
                    if (dx.empty()) dx = dx_now, dw = dw_now;
                    EXPECT_EQ(dx_now, dx) << "seed " << seed << ", late " << late;
                    EXPECT_EQ(dw_now, dw) << "seed " << seed << ", late " << late;
                }
        }
    unsetenv("FP_FILTER");
    unsetenv("FP_FILTER_PARTS");
    unsetenv("FP_DATA2");
}

// y is linear in x and in w: sum dy y = sum dx x = sum dw w, but for the rounding of y and dx to bf16.
TEST_F(ConvWgmma, GradientsAreTheForwardsAdjoint) {
    for (const ConvCase& c : {ConvCase{"3x3", {.n = 2, .c = 64, .h = 9, .w = 7}, 72, 3, 1, 1},
                              ConvCase{"1x1", {.n = 2, .c = 131, .h = 6, .w = 5}, 64, 1, 1, 0}}) {
        SCOPED_TRACE(c.name);
        EXPECT_TRUE(takes_wgmma(shape_on({table()}, c), Pass::data));
        EXPECT_TRUE(takes_wgmma(shape_on({table()}, c), Pass::filter));
        const Inputs in = random_inputs(c, Type::bf16, Type::bf16);  // what the products see of w
        const auto dot = [](const Values& a, const Values& b) {
            return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
        };
        const Values y = forward(table(), c, in, false);
        const double length = std::sqrt(dot(in.dy, in.dy) * dot(y, y));
        EXPECT_NEAR(dot(backward_data(table(), c, in, Write::replace), in.x), dot(in.dy, y),
                    2e-3 * length);
        EXPECT_NEAR(dot(backward_filter(table(), c, in, false, Write::replace).dw, in.w),
                    dot(in.dy, y), 2e-3 * length);
    }
}

// What blocks bring from L2 and write, stated by hand from the shape; for one tap and one tile it is bytes().
TEST_F(ConvWgmma, TrafficAndFlopsAreTheShapes) {
    setenv("FP_FILTER", "1", 1);
    for (const int window : {1, 3}) {
        SCOPED_TRACE(text(window, " x ", window));
        const ConvCase c{"", {.n = 2, .c = 128, .h = 8, .w = 8}, 128, window, 1, window / 2};
        const Device on{table()};
        const ConvShape s = shape_on(on, c);
        ASSERT_TRUE(takes_wgmma(s, Pass::data) && takes_wgmma(s, Pass::filter));
        const Inputs in = random_inputs(c, Type::bf16, Type::f32);
        const Buffer scratch(table(), table().conv.scratch_bytes(s));
        const Tensor x = on.act_in(s.x, in.x), dy = on.act_in(s.y(), in.dy),
                     w = on.par_in(s.w, in.w), dx = on.act_out(s.x), dw = on.par_out(s.w);
        const double on_map = window == 3 ? 22.0 * 22 / (24 * 24) : 1;
        const double taps = double(window) * window * on_map;
        const double x_bytes = 2.0 * double(s.x.logical()),
                     dy_bytes = 2.0 * double(s.y().logical()), weights = double(s.w.logical());
        const auto moved = [](const auto& call) {
            emulated::reset_counters();
            call();
            const emulated::Counters seen = emulated::counters();
            return std::pair{double(seen.bytes_loaded + seen.bytes_stored), seen.matrix_flops};
        };
        const auto across = [&](Pass pass, int64_t rows) {
            const TileSize t = tile_of(s, pass);
            const MatrixProduct p = wgmma_product_of(s, pass);
            return std::pair{double(ceil_div(rows, t.m)), double(ceil_div(p.n, t.n))};
        };

        const auto [data_bytes, data_flops] = moved(
            [&] { table().conv.backward_data(s, dy, w, dx, Write::replace, scratch.data(), {}); });
        const auto [down, wide] = across(Pass::data, s.x.n * s.x.pixels());
        const double rounding = 6 * weights;  // of the weights, on the way in
        const double data = rounding + wide * taps * dy_bytes + down * 2 * weights + x_bytes;
        EXPECT_NEAR(data_bytes / data, 1, 0.1) << data_bytes << " counted, " << data << " stated";
        EXPECT_EQ(data_flops, s.flops());

        const auto [filter_bytes, filter_flops] = moved([&] {
            table().conv.backward_filter(s, x, dy, dw, nullptr, Write::replace, scratch.data(), {});
        });
        const auto [rows, columns] = across(Pass::filter, int64_t(window) * window * 128);
        const int tiles = int(rows * columns);
        const double parts = split_in_waves(2 * 64, tiles, 64).parts();
        const double of_parts = parts > 1 ? 8 * parts * weights : 0;
        const double filter = columns * taps * x_bytes + rows * dy_bytes + of_parts + 4 * weights;
        EXPECT_NEAR(filter_bytes / filter, 1, 0.1)
            << filter_bytes << " counted, " << filter << " stated";
        const TileSize t = tile_of(s, Pass::filter);
        EXPECT_EQ(filter_flops, 2.0 * 128 * tiles * t.m * t.n);
    }
    unsetenv("FP_FILTER");
}

}  // namespace
}  // namespace fp::testing
