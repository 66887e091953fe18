// The traffic of the convolutions on Hopper's warpgroup products: what blocks read from L2 and write, stated by hand
// from the shape as in the heads of the kernels, against what the emulated machine counts.
#include "tests/kernels/conv_wgmma_test.h"

namespace fp::testing {
namespace {

class ConvWgmmaTraffic : public ConvWgmma {
protected:
    struct Moved {
        double bytes, flops;
    };
    struct On {
        ConvShape s;
        double x, dy, weights;  // bytes of the maps, elements
        double taps;            // of the window that fall on the map
    };
    void SetUp() override {
        ConvWgmma::SetUp();
        if (!IsSkipped() && !emulates()) GTEST_SKIP() << "a GPU does not count";
    }
    On on(int side, int window, int stride) const {
        const ConvCase c{"", {.n = 2, .c = 128, .h = side, .w = side}, 128, window, stride, window / 2};
        const ConvShape s = shape_on({table()}, c);
        const double inside = window == 1 ? 1 : stride == 2 ? 3 - 1.0 / s.p() : 3 - 2.0 / side;
        return {s, 2.0 * double(s.x.logical()), 2.0 * double(s.y().logical()), double(s.w.logical()), inside * inside};
    }
    Moved data(const On& o) const { return moved(o, false); }
    Moved filter(const On& o) const { return moved(o, true); }
    static void expect_bytes(const Moved& got, double stated) {
        EXPECT_NEAR(got.bytes / stated, 1, 0.1) << got.bytes << " counted, " << stated << " stated";
    }

private:
    Moved moved(const On& o, bool of_filters) const {
        const Device device{table()};
        const ConvCase c{"", o.s.x, o.s.w.k, o.s.w.r, o.s.stride, o.s.pad};
        const Inputs in = random_inputs(c, Type::bf16, Type::f32);
        const Buffer scratch(table(), table().conv.scratch_bytes(o.s));
        const Tensor x = device.act_in(o.s.x, in.x), dy = device.act_in(o.s.y(), in.dy), w = device.par_in(o.s.w, in.w),
                     dx = device.act_out(o.s.x), dw = device.par_out(o.s.w);
        emulated::reset_counters();
        if (of_filters)
            table().conv.backward_filter(o.s, {.x = x, .dy = dy, .dw = dw, .dbias = nullptr, .write = Write::replace},
                                         scratch.data(), {});
        else
            table().conv.backward_data(o.s, {.dy = dy, .w = w, .dx = dx, .write = Write::replace}, scratch.data(), {});
        const emulated::Counters seen = emulated::counters();
        return {double(seen.bytes_loaded + seen.bytes_stored), seen.matrix_flops};
    }
};
INSTANTIATE_TEST_SUITE_P(Kernels,
                         ConvWgmmaTraffic,
                         ::testing::Values(Table{Backend::emulated, Precision::bf16}),
                         table_name);

TEST_P(ConvWgmmaTraffic, OfTilesAndOfBlocksThatWalk) {
    for (const ConvKernel kernel : {ConvKernel::pixels, ConvKernel::stream})
        for (const int window : {1, 3}) {
            SCOPED_TRACE(text(kernel == ConvKernel::pixels ? "pixels, " : "stream, ", window));
            const TileSize tile = kernel == ConvKernel::pixels ? TileSize{128, 128} : TileSize{256, 64};
            conv_forced() = {.pixels = kernel, .tile = tile};
            const On o = on(16, window, 1);
            const double across = 128.0 / tile.n, down = 2.0 * 16 * 16 / tile.m;
            const double rounding = 6 * o.weights;  // of the weights, on the way in
            const Moved got = data(o);
            expect_bytes(got, rounding + across * o.taps * o.dy + down * 2 * o.weights + o.x);
            EXPECT_EQ(got.flops, o.s.flops());
        }
}

TEST_P(ConvWgmmaTraffic, OfPatches) {
    conv_forced() = {.pixels = ConvKernel::patch, .tile = {256, 128}, .blocks = 2};
    const On o = on(15, 3, 1);
    const double down = 2.0 * 16 * 16 / 256, more = 1 + 2.0 * 17 / 256;
    const Moved got = data(o);
    expect_bytes(got, 6 * o.weights + more * o.dy + down * 2 * o.weights + o.x);
    EXPECT_EQ(got.flops, 2.0 * down * 256 * 128 * 9 * 128);
}

TEST_P(ConvWgmmaTraffic, OfTheInputGradientAtStride2) {
    for (const int window : {1, 3}) {
        SCOPED_TRACE(window);
        conv_forced() = {.strided = ConvKernel::strided, .tile = {128, 64}};
        const On o = on(16, window, 2);
        const double across = 2, down = 1;  // a class is 128 pixels
        const Moved got = data(o);
        expect_bytes(got, 6 * o.weights + across * o.taps * o.dy + down * 2 * o.weights + o.x);
        EXPECT_EQ(got.flops, o.s.flops());
    }
}

TEST_P(ConvWgmmaTraffic, OfTheFilterGradientInBlocks) {
    for (const int window : {1, 3}) {
        SCOPED_TRACE(window);
        conv_forced() = {.filter = ConvKernel::filter, .tile = {128, 128}, .parts = 2};
        const On o = on(16, window, 1);
        const double rows = window * window, of_parts = 2 * 8 * o.weights;
        const Moved got = filter(o);
        expect_bytes(got, o.taps * o.x + rows * o.dy + of_parts + 4 * o.weights);
        EXPECT_EQ(got.flops, o.s.flops());
    }
}

TEST_P(ConvWgmmaTraffic, OfTheFilterGradientOfAllTaps) {
    for (const bool rows : {false, true}) {
        SCOPED_TRACE(rows ? "rows" : "taps");
        conv_forced() = {.filter = rows ? ConvKernel::rows : ConvKernel::taps, .parts = 1};
        const On o = on(15, 3, 1);
        const double once = rows ? (3 - 2.0 / 15) * 66 / 64 : 1;
        const Moved got = filter(o);
        expect_bytes(got, 2 * once * o.x + 2 * o.dy + 4 * o.weights);
        const double places = double(round_up(2 * (rows ? 15 : 16) * 16, 64));
        EXPECT_EQ(got.flops, 2.0 * places * 128 * 9 * 128);
    }
}

}  // namespace
}  // namespace fp::testing
