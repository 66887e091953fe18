// Convolutions of few channels (kernels/cuda/conv_halo.cuh): every tile, both kinds of products, one and two patches, few
// blocks that walk over many tiles; what they move; and the plan that chooses among the tiles.
#include <map>
#include <set>

#include "kernels/cuda/plan/halo_plan.h"
#include "kernels/machine/emulated/settings.h"
#include "tests/kernels/conv_calls.h"

namespace fp::testing {
namespace {

// Several images a tile and a last tile of fewer; strips of an image; stride 2; windows of other sizes.
const ConvCase kNarrow[] = {
    {"images", {.n = 4, .c = 21, .h = 10, .w = 13}, 27, 3, 1, 1},
    {"strips", {.n = 1, .c = 35, .h = 18, .w = 28}, 65, 3, 1, 1},
    {"stride 2", {.n = 4, .c = 24, .h = 21, .w = 17}, 35, 3, 2, 1},
    {"5x5", {.n = 2, .c = 16, .h = 9, .w = 11}, 21, 5, 1, 2},
    {"no padding", {.n = 3, .c = 65, .h = 7, .w = 9}, 24, 3, 1, 0},
};
// Padding odd and even; rows of one product and of two; maps so small that most of a product is no pixel's.
const ConvCase kStems[] = {
    {"odd padding", {.n = 1, .c = 3, .h = 18, .w = 110}, 64, 7, 2, 3, true},
    {"even padding", {.n = 2, .c = 3, .h = 11, .w = 140}, 24, 7, 2, 2, true},
    {"small", {.n = 5, .c = 3, .h = 12, .w = 14}, 45, 7, 2, 3, true},
    {"3x3", {.n = 3, .c = 3, .h = 9, .w = 12}, 40, 3, 2, 1, true},
};

constexpr double kRounding = 2e-3;  // of outputs to bf16; inputs and filters are given in it

class ConvHalo : public OnBackend {
protected:
    void SetUp() override {
        OnBackend::SetUp();
        halo_choice().use = HaloChoice::Use::where_it_fits;
        if (!IsSkipped() && !is_taken(kNarrow[0]))
            GTEST_SKIP() << "device " << table().name << " is no sm_90a, which these kernels need";
    }
    ~ConvHalo() override {
        halo_choice() = {};
        emulated::settings() = before_;
    }

    // The table leaves moments of the tiles of these kernels, so they run.
    bool is_taken(const ConvCase& c) const {
        const ConvShape s = shape_on({table()}, c);
        return takes_halo(s, Pass::forward) && table().conv.moments_rows(s) == halo_moments_rows(s);
    }
    static Inputs inputs(const ConvCase& c) { return random_inputs(c, Type::bf16, Type::bf16); }

    // What the reference answers, computed once for all tiles.
    template <class Call>
    static const Values& wanted(const ConvCase& c, const char* what, Call call) {
        static std::map<std::string, Values> all;
        const auto [at, fresh] = all.try_emplace(text(c.name, " ", what));
        if (fresh) at->second = call();
        return at->second;
    }
    static const Values& wanted_y(const ConvCase& c, const Inputs& in) {
        return wanted(c, "y", [&] { return forward(exact(), c, in, true); });
    }

    void expect_forward(const ConvCase& c) const {
        const Inputs in = inputs(c);
        ASSERT_TRUE(is_taken(c));
        for (const bool residual : {false, true}) {
            const char* what = residual ? "inferred with bias and residual" : "inferred";
            const auto on = [&](const Kernels& k) {
                return infer(k, c, in, residual, residual, true);
            };
            expect_close(on(table()), wanted(c, what, [&] { return on(exact()); }), kRounding,
                         what);
        }
        expect_moments(c, in);
    }

    void expect_moments(const ConvCase& c, const Inputs& in) const {
        const Kernels& k = table();
        const Device on{k};
        const ConvShape s = shape_on(on, c);
        const Tensor x = on.act_in(s.x, in.x), w = on.par_in(s.w, in.w);
        const Tensor bias = on.par_in(on.channels(s.w.k), in.bias), y = on.act_out(s.y());
        const Buffer scratch(k, k.conv.scratch_bytes(s));
        const Moments::Rows rows = k.conv.moments_rows(s);
        const Buffer data(k, Moments::bytes(s.y(), rows));
        k.conv.forward_moments(s, x, w, bias, y, {data.data(), rows}, scratch.data(), {});
        const Values stored = y.values();
        expect_close(stored, wanted_y(c, in), kRounding, "y beside its moments");

        expect_moments_of(stored, data.read(), s, rows);
    }

    void expect_data(const ConvCase& c) const {
        const Inputs in = inputs(c);
        ASSERT_TRUE(takes_halo(shape_on({table()}, c), Pass::data));
        for (const Write write : {Write::replace, Write::add}) {
            const char* what = write == Write::add ? "dx added" : "dx";
            const auto on = [&](const Kernels& k) { return backward_data(k, c, in, write); };
            expect_close(on(table()), wanted(c, what, [&] { return on(exact()); }), kRounding,
                         what);
        }
    }
    void expect_filter(const ConvCase& c) const {
        const Inputs in = inputs(c);
        ASSERT_TRUE(takes_halo(shape_on({table()}, c), Pass::filter));
        for (const Write write : {Write::replace, Write::add}) {
            const auto got = backward_filter(table(), c, in, true, write);
            const auto want = backward_filter(exact(), c, in, true, write);
            expect_close(got.dw, want.dw, testing::tolerance(Type::f32), "dw");
            expect_close(got.dbias, want.dbias, testing::tolerance(Type::f32), "dbias");
        }
    }

    emulated::Settings before_ = emulated::settings();
};
INSTANTIATE_TEST_SUITE_P(Kernels,
                         ConvHalo,
                         ::testing::Values(Table{Backend::emulated, Precision::bf16},
                                           Table{Backend::cuda, Precision::bf16}),
                         table_name);

// Each tile on every other case that it fits, by one block and by several, with one patch and with two.
TEST_P(ConvHalo, EveryTile) {
    std::vector<ConvCase> cases(std::begin(kNarrow), std::end(kNarrow));
    cases.insert(cases.end(), std::begin(kStems), std::end(kStems));
    for (int tile = 0; tile < kHaloTileCount; ++tile) {
        int seen = 0;
        for (int i = tile % 2; i < int(cases.size()); i += 2) {
            const ConvCase& c = cases[size_t(i)];
            halo_choice().tile = tile;
            halo_choice().buffers = 1 + (i + tile) / 2 % 2;
            halo_choice().most_blocks = i % 3 == 0 ? 1 : 2;
            if (!takes_halo(shape_on({table()}, c), Pass::forward)) continue;
            SCOPED_TRACE(text("tile ", tile, ", ", c.name, ", ", halo_choice().buffers,
                              " patches, ", halo_choice().most_blocks, " blocks"));
            expect_forward(c);
            if (!c.image && c.stride == 1) expect_data(c);
            ++seen;
        }
        EXPECT_GE(seen, 2) << "tile " << tile;
    }
}

TEST_P(ConvHalo, ForwardWithoutMoments) {
    for (const ConvCase& c : {kNarrow[0], kNarrow[2], kStems[0], kStems[1]}) {
        SCOPED_TRACE(c.name);
        const Inputs in = inputs(c);
        ASSERT_TRUE(is_taken(c));
        expect_close(forward(table(), c, in, true), wanted_y(c, in), kRounding, "y");
    }
}

// As the plan chooses, with either number of patches.
TEST_P(ConvHalo, StemOnBothProducts) {
    for (const ConvCase& c : kStems)
        for (const HaloProducts products : {HaloProducts::mma, HaloProducts::wgmma})
            for (const int buffers : {1, 2}) {
                SCOPED_TRACE(text(c.name, products == HaloProducts::mma ? ", mma" : ", wgmma", ", ",
                                  buffers, " patches"));
                halo_choice().products = products;
                halo_choice().buffers = buffers;
                halo_choice().most_blocks = 3;
                expect_forward(c);
            }
}

TEST_P(ConvHalo, FilterGradient) {
    // One to four runs of 16 filters; then slices of filters, and of terms.
    for (const ConvCase& c :
         {ConvCase{"16", {.n = 4, .c = 21, .h = 10, .w = 13}, 16, 3, 1, 1},
          ConvCase{"27", {.n = 2, .c = 24, .h = 17, .w = 40}, 27, 3, 1, 1},
          ConvCase{"stride 2", {.n = 4, .c = 21, .h = 21, .w = 17}, 35, 3, 2, 1},
          ConvCase{"64", {.n = 7, .c = 16, .h = 8, .w = 9}, 64, 3, 1, 1},
          ConvCase{"slices", {.n = 3, .c = 35, .h = 7, .w = 9}, 65, 3, 1, 0}, kStems[0], kStems[1],
          kStems[2], kStems[3]})
        for (const int blocks : {0, 1, 2}) {
            SCOPED_TRACE(text(c.name, ", ", blocks, " blocks"));
            halo_choice().most_blocks = blocks;
            expect_filter(c);
        }
}

TEST_P(ConvHalo, BitsAreTheSameInEveryOrder) {
    if (GetParam().backend != Backend::emulated)
        GTEST_SKIP() << "only the emulated machine's order of threads is ours";
    halo_choice().most_blocks = 2;
    for (const ConvCase& c : {kNarrow[0], kStems[0]}) {
        SCOPED_TRACE(c.name);
        const Inputs in = inputs(c);
        std::vector<Values> first;
        for (const uint64_t seed : {0, 1, 2, 3}) {
            emulated::settings().seed = seed;
            emulated::settings().late_copy = seed < 2;
            emulated::settings().os_threads = seed % 2 ? 2 : 1;
            std::vector<Values> now{infer(table(), c, in, true, true, true),
                                    backward_filter(table(), c, in, false, Write::replace).dw};
            if (!c.image) now.push_back(backward_data(table(), c, in, Write::replace));
            if (first.empty()) first = now;
            EXPECT_EQ(now, first) << "seed " << seed;
        }
    }
}

// What blocks bring and write, stated from the shape: of the input (rows + R - stride) / rows, less what lies outside the
// map, once a slice of outputs; the filters once a block; and the output. Products: whole tiles, taps in twos.
TEST_P(ConvHalo, TrafficAndFlopsAreTheShapes) {
    if (GetParam().backend != Backend::emulated) GTEST_SKIP() << "a GPU does not count bytes";
    for (const ConvCase& c :
         {ConvCase{"3x3", {.n = 4, .c = 24, .h = 24, .w = 40}, 40, 3, 1, 1},
          ConvCase{"stem", {.n = 2, .c = 3, .h = 48, .w = 128}, 64, 7, 2, 3, true}}) {
        SCOPED_TRACE(c.name);
        halo_choice().most_blocks = 3;
        const Kernels& k = table();
        const Device on{k};
        const ConvShape s = shape_on(on, c);
        const Inputs in = inputs(c);
        const Buffer scratch(k, k.conv.scratch_bytes(s)),
            ready(k, k.conv.prepared_bytes(s, true, false));
        const Tensor x = on.act_in(s.x, in.x), w = on.par_in(s.w, in.w);
        const Tensor residual = on.act_in(s.y(), in.residual), y = on.act_out(s.y());
        k.conv.prepare(s, true, false, w, ready.data(), {});
        emulated::reset_counters();
        k.conv.infer(s, x, ready.data(), nullptr, residual, false, y, scratch.data(), {});
        const emulated::Counters seen = emulated::counters();

        const HaloPlan plan = halo_plan(s, Pass::forward, HaloExtra::residual);
        const double strips = double(s.p()) / plan.sizes.rows;
        const double rows = s.x.h + (strips - 1) * (s.w.r - s.stride);
        ASSERT_GT(strips, 1);
        const double x_bytes = 2.0 * s.x.n * rows * s.x.w * s.x.stored_c() * plan.slices;
        const double y_bytes = 2.0 * 2.0 * double(s.y().stored());
        const double filters = 2.0 * plan.blocks * double(s.w.stored());
        const double bytes = double(seen.bytes_loaded + seen.bytes_stored);
        EXPECT_NEAR(bytes / (x_bytes + y_bytes + filters), 1, 0.1);
        const HaloTile& t = kHaloTiles[plan.tile];
        const double products =
            2.0 * plan.sizes.tiles * plan.slices * t.m() * t.n() * plan.sizes.steps * 16;
        EXPECT_NEAR(seen.matrix_flops / products, 1, 1e-6);
    }
}

// ---- the plan, which needs no device

ConvShape layer(int n, int size, int c, int k, int window, int stride) {
    const int stored = c == 3 ? 4 : int(round_up(c, 8));
    return {.x = {.n = n, .c = c, .h = size, .w = size, .block = stored},
            .w = {.k = k, .c = c, .r = window, .s = window, .c_block = stored},
            .stride = stride,
            .pad = window / 2,
            .y_block = int(round_up(k, 8))};
}

// Inference at batch 256 on an H200, us; the last with moments. Bandwidth and clock of the model were chosen after these.
TEST(HaloPlan, SecondsAreNearTheMeasuredOnes) {
    struct Line {
        int size, c, k, window, stride;
        HaloProducts products;
        double us, within;
        HaloExtra extra = HaloExtra::nothing;
    };
    using enum HaloProducts;
    for (const Line& l :
         {Line{56, 21, 16, 3, 1, mma, 43.1, 0.1}, Line{56, 21, 27, 3, 1, mma, 62.9, 0.1},
          Line{56, 27, 21, 3, 1, mma, 65.6, 0.1}, Line{28, 65, 35, 3, 1, mma, 59.1, 0.1},
          Line{56, 21, 65, 3, 2, mma, 59.0, 0.2}, Line{56, 64, 64, 3, 1, mma, 204.7, 0.25},
          Line{224, 3, 64, 7, 2, mma, 395.6, 0.1}, Line{224, 3, 21, 7, 2, mma, 169.9, 0.1},
          Line{224, 3, 64, 7, 2, wgmma, 328.3, 0.1},
          Line{56, 64, 128, 3, 2, mma, 176.5, 0.2, HaloExtra::moments}}) {
        halo_choice().products = l.products;
        const ConvShape s = layer(256, l.size, l.c, l.k, l.window, l.stride);
        const double us = halo_plan(s, Pass::forward, l.extra).seconds * 1e6;
        EXPECT_NEAR(us / l.us, 1, l.within)
            << l.c << " > " << l.k << " at " << l.size << ": " << us << " us for " << l.us;
    }
    halo_choice() = {};
}

TEST(HaloPlan, TilesAreWholeRowsOfTheirImages) {
    for (const ConvShape& s : {layer(3, 56, 21, 16, 3, 1), layer(256, 224, 3, 64, 7, 2),
                               layer(7, 10, 24, 40, 3, 1), layer(1, 97, 24, 40, 3, 2)}) {
        const HaloSizes g = halo_plan(s, Pass::forward, HaloExtra::nothing).sizes;
        int pixels = 0;
        for (int tile = 0; tile < g.tiles; ++tile) {
            EXPECT_EQ(g.group_of(tile), tile / g.strips);
            EXPECT_EQ(tile * g.tile_pixels(), pixels);
            pixels += g.pixels_of(tile);
        }
        EXPECT_EQ(pixels, s.x.n * s.y().pixels());
    }
}

// The 3x3 layers and the stem of ResNets and VGGs, of all widths from a quarter on, and a pruned network's.
TEST(HaloPlan, EveryTileIsChosenForSomeLayer) {
    std::set<int> chosen, runs;
    const auto choose = [&](const ConvShape& s) {
        using enum HaloExtra;
        const auto add = [&](Pass pass, HaloExtra extra) {
            if (takes_halo(s, pass)) chosen.insert(halo_plan(s, pass, extra).tile);
        };
        for (const HaloExtra extra : {nothing, residual, moments}) add(Pass::forward, extra);
        for (const HaloExtra extra : {nothing, residual}) add(Pass::data, extra);
        if (takes_halo(s, Pass::filter)) runs.insert(halo_filter_plan(s).runs);
    };
    for (const int n : {1, 16, 128, 256})
        for (const int size : {64, 224})
            for (int sixteenths = 4; sixteenths <= 16; ++sixteenths) {
                const auto wide = [&](int channels) { return channels * sixteenths / 16; };
                choose(layer(n, size, 3, wide(64), 7, 2));
                for (int at = size / 4, c = 64; c <= 512; at /= 2, c *= 2) {
                    choose(layer(n, at, wide(c), wide(c), 3, 1));  // ResNet
                    choose(layer(n, at, wide(c), wide(2 * c), 3, 2));
                    choose(layer(n, at, wide(2 * c), wide(2 * c), 3, 2));  // ResNet-50
                    choose(layer(n, 4 * at, wide(c), wide(c), 3, 1));      // VGG
                    choose(layer(n, 2 * at, wide(c), wide(2 * c), 3, 1));
                }
            }
    for (const auto& [c, k] : {std::pair{21, 16}, {16, 21}, {21, 27}, {27, 21}})
        choose(layer(256, 56, c, k, 3, 1));
    choose(layer(256, 56, 21, 65, 3, 2));
    choose(layer(256, 28, 65, 35, 3, 1));
    choose(layer(256, 28, 35, 65, 3, 1));
    for (int tile = 0; tile < kHaloTileCount; ++tile)
        EXPECT_TRUE(chosen.contains(tile)) << "no layer takes tile " << tile;
    EXPECT_EQ(runs, (std::set<int>{1, 2, 3, 4}));
}

}  // namespace
}  // namespace fp::testing
