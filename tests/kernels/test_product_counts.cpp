// Convolutions and linear layers: flops() and the bytes of a tile against what the emulated machine counts, and bits in
// every order of threads.
#include "kernels/cuda/plan/conv_choice.h"
#include "kernels/cuda/plan/tiling.h"
#include "tests/kernels/counted.h"

namespace fp::testing {
namespace {

struct ProductCase {
    const char* name;
    Precision precision;
    int generation;
    int c, window;
};

// What the blocks of a forward convolution read from L2 and write: pixels once per tap (without what falls outside of
// the map) and row of tiles, weights once per column of tiles. For one tap and one tile this is bytes().
double tile_traffic(const ConvShape& s, int e, TileSize tile, double on_map) {
    const double pixels = double(s.x.n) * double(s.y().pixels());
    const double across = double(ceil_div(s.w.k, tile.n)), down = double(ceil_div(int64_t(pixels), tile.m));
    return e * (across * s.w.r * s.w.s * on_map * double(s.x.logical()) + down * double(s.w.logical()) +
                double(s.y().logical()));
}

TEST(Products, FlopsAndBytesAreTheShapes) {
    for (const ProductCase& c :
         {ProductCase{"f32, 1x1", Precision::f32, 90, 64, 1}, ProductCase{"bf16, wgmma", Precision::bf16, 90, 64, 3},
          ProductCase{"bf16, mma", Precision::bf16, 80, 64, 3}, ProductCase{"tf32, mma", Precision::tf32, 90, 64, 3},
          ProductCase{"bf16, wgmma, 1x1", Precision::bf16, 90, 72, 1},
          ProductCase{"bf16, mma, 1x1", Precision::bf16, 80, 72, 1}}) {
        SCOPED_TRACE(c.name);
        emulated::settings().generation = c.generation;
        conv_forced() = {.pixels = ConvKernel::pixels, .tile = {128, 32}};
        const Kernels& k = emulated_kernels(c.precision);
        const Device on{k};
        const Map m = on.map({.n = 2, .c = c.c, .h = 8, .w = 8});
        const ConvShape s{
            .x = m, .w = k.filter(64, c.c, c.window, c.window, m.block), .pad = c.window / 2, .y_block = k.block(64)};
        const Buffer scratch(k, k.conv.scratch_bytes(s)),
            ready(k, k.conv.prepared_bytes(s, {.residual = false, .relu = false}));
        const Tensor x = on.act_in(m, Values(size_t(m.logical()), 1.0));
        const Tensor w = on.par_in(s.w, Values(size_t(s.w.logical()), 1.0)), y = on.act_out(s.y());
        k.conv.prepare(s, {.residual = false, .relu = false}, w, ready.data(), {});
        k.memory.synchronize({});
        const Counted got = counted([&] {
            k.conv.infer(
                s, {.x = x, .prepared = ready.data(), .bias = nullptr, .residual = nullptr, .relu = false, .y = y},
                scratch.data(), {});
        });
        const bool f32 = c.precision == Precision::f32, tf32 = c.precision == Precision::tf32;
        const bool wgmma = c.generation == 90 && c.precision == Precision::bf16;
        if (!f32) {  // wgmma: sums of a tap in steps of 16 channels; mma: whole sums in steps of 64 bytes
            const int deep = c.window * c.window * c.c, step = tf32 ? 16 : 32;
            const double paid = wgmma ? double(round_up(c.c, 16)) / c.c : double(round_up(deep, step)) / deep;
            EXPECT_NEAR(got.matrix_flops / (s.flops() * paid), 1, 0.001);
        }
        const int e = bytes_of(k.activation);
        const MatrixProduct product{.m = 128,
                                    .n = 64,
                                    .depth = int64_t(c.window) * c.window * c.c,
                                    .element_bytes = e,
                                    .peak = f32    ? kDevice.ffma
                                            : tf32 ? kDevice.tf32_matrix
                                                   : kDevice.bf16_matrix};
        const TileSize tile = f32     ? best_tile(product, kFfmaTiles).tile
                              : wgmma ? conv_forced().tile
                                      : best_tile(product, kTensorTiles).tile;
        const double on_map = c.window == 3 ? 22.0 * 22 / (24 * 24) : 1;
        const double stated = tile_traffic(s, e, tile, on_map);
        EXPECT_NEAR(got.bytes / stated, 1, 0.1) << got.bytes << " counted, " << stated << " stated";
        EXPECT_NEAR(tile_traffic(s, e, {128, 64}, 1.0 / (c.window * c.window)), s.bytes(e), 1);
    }
    conv_forced() = {};
    emulated::settings().generation = emulated::Settings().generation;
}

// The same bits whatever the order of threads and blocks.
TEST(Products, BitsDoNotDependOnTheOrderOfThreads) {
    const emulated::Settings before = emulated::settings();
    for (const Precision precision : {Precision::f32, Precision::tf32, Precision::bf16}) {
        SCOPED_TRACE(name(precision));
        const Kernels& k = emulated_kernels(precision);
        const Device on{k};
        const Map m = on.map({.n = 3, .c = 24, .h = 7, .w = 7});
        const ConvShape s{.x = m, .w = k.filter(40, 24, 3, 3, m.block), .pad = 1, .y_block = k.block(40)};
        const BatchNormShape norm{.x = m, .relu = true};
        const Tensor x = on.act_in(m, random_values(m.logical(), 1, k.activation));
        const Tensor dy = on.act_in(s.y(), random_values(s.y().logical(), 2, k.activation));
        const Tensor w = on.par_in(s.w, random_values(s.w.logical(), 3));
        const Values ones(size_t(m.c), 1.0);
        std::vector<Values> first;
        for (const uint64_t seed : {0, 1, 2, 3}) {
            emulated::settings().seed = seed;
            emulated::settings().os_threads = seed % 2 ? 2 : 1;
            const Buffer scratch(k, k.conv.scratch_bytes(s) + k.batchnorm.scratch_bytes(norm));
            const Tensor y = on.act_out(s.y()), dx = on.act_out(m), dw = on.par_out(s.w);
            const Tensor z = on.act_out(m), gamma = on.par_in(on.channels(m.c), ones);
            const Tensor mean = on.par_in(on.channels(m.c), ones), var = on.par_in(on.channels(m.c), ones);
            const Tensor kept = on.par_out(on.channels(m.c)), rstd = on.par_out(on.channels(m.c));
            k.conv.forward(s, {.x = x, .w = w, .bias = nullptr, .y = y}, scratch.data(), {});
            k.conv.backward_data(s, {.dy = dy, .w = w, .dx = dx, .write = Write::replace}, scratch.data(), {});
            k.conv.backward_filter(s, {.x = x, .dy = dy, .dw = dw, .dbias = nullptr, .write = Write::replace},
                                   scratch.data(), {});
            k.batchnorm.train(norm,
                              {.x = x,
                               .residual = nullptr,
                               .gamma = gamma,
                               .beta = gamma,
                               .running_mean = mean,
                               .running_var = var,
                               .y = z,
                               .mean = kept,
                               .rstd = rstd},
                              scratch.data(), {});
            const std::vector<Values> now{y.values(), dx.values(),   dw.values(),
                                          z.values(), kept.values(), rstd.values()};
            if (first.empty()) first = now;
            EXPECT_EQ(now, first) << "seed " << seed;
        }
    }
    emulated::settings() = before;
}

}  // namespace
}  // namespace fp::testing
