// Convolutions of few channels (kernels/cuda/conv/conv_halo.cuh): every tile, both kinds of products, one and two
// patches, few persistent blocks for many tiles; their traffic; and the plan that chooses the tile.
#include <map>

#include "kernels/cuda/plan/halo_plan.h"
#include "kernels/machine/emulated/settings.h"
#include "tests/kernels/conv_calls.h"

namespace fp::testing {
namespace {

// Several images per tile and fewer in the last one; strips of an image; stride 2; windows of other sizes.
const ConvCase kNarrow[] = {
    {"images", {.n = 4, .c = 21, .h = 10, .w = 13}, 27, 3, 1, 1},
    {"strips", {.n = 1, .c = 35, .h = 18, .w = 28}, 65, 3, 1, 1},
    {"stride 2", {.n = 4, .c = 24, .h = 21, .w = 17}, 35, 3, 2, 1},
    {"5x5", {.n = 2, .c = 16, .h = 9, .w = 11}, 21, 5, 1, 2},
    {"no padding", {.n = 3, .c = 65, .h = 7, .w = 9}, 24, 3, 1, 0},
    {"1x1", {.n = 3, .c = 24, .h = 9, .w = 11}, 40, 1, 1, 0},
    {"1x1 at stride 2", {.n = 3, .c = 40, .h = 9, .w = 12}, 24, 1, 2, 0},
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
        force(ConvKernel::halo);
        if (!IsSkipped() && !is_taken(kNarrow[0]))
            GTEST_SKIP() << "device " << table().name << " is no sm_90a, which these kernels need";
    }
    ~ConvHalo() override {
        conv_forced() = {};
        emulated::settings() = before_;
    }

    // Forces these kernels for the rest of the test: of the forward pass and of the gradient of filters.
    void force(ConvKernel kernel, TileSize tile = {}) {
        conv_forced() = {.pixels = kernel, .filter = ConvKernel::halo_filter, .tile = tile};
        if (tile.m > 0) conv_forced().filter = {};  // it has tiles of other sizes
    }
    bool fits(const ConvCase& c, Pass pass, ConvExtras extras = {}) const {
        return std::ranges::any_of(conv_choices(shape_on({table()}, c), pass, extras), [&](ConvChoice of) {
            const TileSize tile = conv_forced().tile;
            return of.kernel == *conv_forced().pixels && (tile.m == 0 || of.tile == tile);
        });
    }
    // The table leaves moments of the tiles of these kernels, so they run.
    bool is_taken(const ConvCase& c) const {
        const ConvShape s = shape_on({table()}, c);
        const ConvExtras moments{.moments = true};
        return fits(c, Pass::forward, moments) &&
               table().conv.moments_parts(s) ==
                   halo_plan(s, Pass::forward, conv_choice(s, Pass::forward, moments), moments).blocks;
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
            const auto on = [&](const Kernels& k) { return infer(k, c, in, residual, residual, true); };
            expect_close(on(table()), wanted(c, what, [&] { return on(exact()); }), kRounding, what);
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
        const int parts = k.conv.moments_parts(s);
        const Buffer data(k, Moments::bytes(s.y(), parts));
        k.conv.forward_moments(s, {.x = x, .w = w, .bias = bias, .y = y}, {data.data(), parts}, scratch.data(), {});
        const Values stored = y.values();
        expect_close(stored, wanted_y(c, in), kRounding, "y beside its moments");

        expect_moments_of(stored, data.read(), s, parts);
    }

    void expect_data(const ConvCase& c) const {
        const Inputs in = inputs(c);
        for (const Write write : {Write::replace, Write::add}) {
            const char* what = write == Write::add ? "dx added" : "dx";
            const auto on = [&](const Kernels& k) { return backward_data(k, c, in, write); };
            expect_close(on(table()), wanted(c, what, [&] { return on(exact()); }), kRounding, what);
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
            const ConvChoice of = kHaloTiles[tile].choice();
            force(of.kernel, of.tile);
            conv_forced().buffers = 1 + (i + tile) / 2 % 2;
            conv_forced().blocks = i % 3 == 0 ? 1 : 2;
            if (!fits(c, Pass::forward, {.residual = true})) continue;
            SCOPED_TRACE(text("tile ", tile, ", ", c.name, ", ", conv_forced().buffers, " patches, ",
                              conv_forced().blocks, " blocks"));
            expect_forward(c);
            if (!c.image && c.stride == 1 && fits(c, Pass::data, {.residual = true})) expect_data(c);
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

// As the rule chooses the tile, with either number of patches.
TEST_P(ConvHalo, StemOnBothProducts) {
    for (const ConvCase& c : kStems)
        for (const ConvKernel kernel : {ConvKernel::halo, ConvKernel::halo_wgmma})
            for (const int buffers : {1, 2}) {
                SCOPED_TRACE(text(c.name, ", ", name_of(kernel), ", ", buffers, " patches"));
                force(kernel);
                conv_forced().buffers = buffers;
                conv_forced().blocks = 3;
                expect_forward(c);
            }
}

TEST_P(ConvHalo, FilterGradient) {
    // One to four runs of 16 filters; then slices of filters, and of terms.
    for (const ConvCase& c : {ConvCase{"16", {.n = 4, .c = 21, .h = 10, .w = 13}, 16, 3, 1, 1},
                              ConvCase{"27", {.n = 2, .c = 24, .h = 17, .w = 40}, 27, 3, 1, 1},
                              ConvCase{"stride 2", {.n = 4, .c = 21, .h = 21, .w = 17}, 35, 3, 2, 1},
                              ConvCase{"64", {.n = 7, .c = 16, .h = 8, .w = 9}, 64, 3, 1, 1},
                              ConvCase{"slices", {.n = 3, .c = 35, .h = 7, .w = 9}, 65, 3, 1, 0}, kStems[0], kStems[1],
                              kStems[2], kStems[3], kNarrow[5], kNarrow[6]})
        for (const int blocks : {0, 1, 2}) {
            SCOPED_TRACE(text(c.name, ", ", blocks, " parts"));
            conv_forced().parts = blocks;
            expect_filter_gradient(table(), c, inputs(c));
        }
}

TEST_P(ConvHalo, BitsAreTheSameInEveryOrder) {
    if (GetParam().backend != Backend::emulated) GTEST_SKIP() << "only the emulated machine's order of threads is ours";
    conv_forced().blocks = conv_forced().parts = 2;
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

// What blocks load and store, computed from the shape: the input (rows + R - stride) / rows times, without what is
// outside of the map, per slice of outputs; the filters once per block; and the output. Products: complete tiles, two
// terms each.
TEST_P(ConvHalo, TrafficAndFlopsAreTheShapes) {
    if (GetParam().backend != Backend::emulated) GTEST_SKIP() << "a GPU does not count bytes";
    for (const ConvCase& c : {ConvCase{"3x3", {.n = 4, .c = 24, .h = 24, .w = 40}, 40, 3, 1, 1},
                              ConvCase{"stem", {.n = 2, .c = 3, .h = 48, .w = 128}, 64, 7, 2, 3, true}}) {
        SCOPED_TRACE(c.name);
        conv_forced().blocks = 3;
        const Kernels& k = table();
        const Device on{k};
        const ConvShape s = shape_on(on, c);
        const Inputs in = inputs(c);
        const Buffer scratch(k, k.conv.scratch_bytes(s)),
            ready(k, k.conv.prepared_bytes(s, {.residual = true, .relu = false}));
        const Tensor x = on.act_in(s.x, in.x), w = on.par_in(s.w, in.w);
        const Tensor residual = on.act_in(s.y(), in.residual), y = on.act_out(s.y());
        k.conv.prepare(s, {.residual = true, .relu = false}, w, ready.data(), {});
        emulated::reset_counters();
        k.conv.infer(s,
                     {.x = x, .prepared = ready.data(), .bias = nullptr, .residual = residual, .relu = false, .y = y},
                     scratch.data(), {});
        const emulated::Counters seen = emulated::counters();

        const ConvExtras extras{.residual = true};
        const HaloPlan plan = halo_plan(s, Pass::forward, conv_choice(s, Pass::forward, extras), extras);
        const double strips = double(s.p()) / plan.sizes.rows;
        const double rows = s.x.h + (strips - 1) * (s.w.r - s.stride);
        ASSERT_GT(strips, 1);
        const double x_bytes = 2.0 * s.x.n * rows * s.x.w * s.x.stored_c() * plan.slices;
        const double y_bytes = 2.0 * 2.0 * double(s.y().stored());
        const double filters = 2.0 * plan.blocks * double(s.w.stored());
        const double bytes = double(seen.bytes_loaded + seen.bytes_stored);
        EXPECT_NEAR(bytes / (x_bytes + y_bytes + filters), 1, 0.1);
        const HaloTile& t = kHaloTiles[plan.tile];
        const double products = 2.0 * plan.sizes.tiles * plan.slices * t.m() * t.n() * plan.sizes.steps * 16;
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

TEST(HaloPlan, TilesAreWholeRowsOfTheirImages) {
    for (const ConvShape& s : {layer(3, 56, 21, 16, 3, 1), layer(256, 224, 3, 64, 7, 2), layer(7, 10, 24, 40, 3, 1),
                               layer(1, 97, 24, 40, 3, 2)}) {
        const HaloSizes g = halo_plan(s, Pass::forward, {ConvKernel::halo, {256, 32}}, {}).sizes;
        int pixels = 0;
        for (int tile = 0; tile < g.tiles; ++tile) {
            EXPECT_EQ(g.group_of(tile), tile / g.strips);
            EXPECT_EQ(tile * g.tile_pixels(), pixels);
            pixels += g.pixels_of(tile);
        }
        EXPECT_EQ(pixels, s.x.n * s.y().pixels());
    }
}

}  // namespace
}  // namespace fp::testing
