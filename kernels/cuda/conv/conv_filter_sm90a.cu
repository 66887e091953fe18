// Launchers of the gradient of the filters on warpgroup matrix instructions.
#include <limits>

#include "kernels/cuda/conv/conv_wgmma.h"
#include "kernels/cuda/conv/conv_wgmma_filter.cuh"
#include "kernels/cuda/conv/conv_wgmma_taps.cuh"
#include "kernels/cuda/walks/parts.cuh"

namespace fp::FP_MACHINE {
namespace {

struct FilterCall {
    const ConvSizes& g;
    const bf16 *x, *dy;
    const Split& split;
    float* out;  // dw, or scratch for the partial sums
    Write write;
    Stream stream;
};

// A grid of pixels of each sample: rows x columns of them from (begin_h, begin_w) on, `stride` apart.
struct Sequence {
    int begin_w, begin_h, columns, rows, stride;
};
// The tensor map for copies of `pixels` pixels of such a grid, sample after sample.
TensorMap sequence_map(const bf16* base, const ConvSizes& g, const Sequence& of, int pixels) {
    return encode({.base = base,
                   .rank = 4,
                   .size = {g.c, g.w, g.h, g.n},
                   .stride = {1, g.c, int64_t(g.w) * g.c, int64_t(g.h) * g.w * g.c},
                   .im2col = true,
                   .pixels = pixels,
                   .lower = {of.begin_w, of.begin_h},
                   .upper = {of.begin_w + (of.columns - 1) * of.stride + 1 - g.w,
                             of.begin_h + (of.rows - 1) * of.stride + 1 - g.h},
                   .step = of.stride});
}
// All pixels of dy, with one column and `more_rows` rows of zeros behind them.
Sequence padded_gradient(const ConvSizes& g, int more_rows) {
    return {.begin_w = 0, .begin_h = 0, .columns = g.q + 1, .rows = g.p + more_rows, .stride = 1};
}
ConvSizes sizes_of_gradient(const ConvSizes& g) {
    ConvSizes of = g;
    of.h = g.p, of.w = g.q, of.c = g.y_c;
    return of;
}

template <class T>
Grid taps_grid(const FilterCall& on) {
    return {.blocks = ceil_div(on.g.c, kChunk),
            .blocks_y = ceil_div(on.g.k, kChunk),
            .blocks_z = on.split.parts(),
            .threads = T::kThreads,
            .shared_bytes = sizeof(typename T::Shared)};
}

template <class T>
void start_taps(const FilterCall& on) {
    const ConvSizes& g = on.g;
    typename T::Maps maps;
    for (int i = 0; i < T::kSequences; ++i)
        maps.x[i] = sequence_map(on.x, g,
                                 {.begin_w = sequence_begin<T>(i % 2),
                                  .begin_h = sequence_begin<T>(i / 2),
                                  .columns = g.q + 1,
                                  .rows = g.p + 1,
                                  .stride = T::kStride},
                                 T::kPanelPixels);
    maps.dy = sequence_map(on.dy, sizes_of_gradient(g), padded_gradient(g, 1), T::kPanelPixels);
    launch(wgmma_taps_kernel<T>, taps_grid<T>(on), on.stream, maps, g, on.out, on.split);
}

void start_rows(const FilterCall& on) {
    const ConvSizes& g = on.g;
    launch(wgmma_window_rows_kernel, taps_grid<RowTile>(on), on.stream,
           sequence_map(on.x, g, {.begin_w = -1, .begin_h = -1, .columns = g.q + 1, .rows = g.p, .stride = 1},
                        RowTile::kPixels),
           sequence_map(on.dy, sizes_of_gradient(g), padded_gradient(g, 0), RowTile::kPanelPixels), g, on.out,
           on.split);
}

template <class T>
void start_blocks(const FilterCall& on) {
    const ConvSizes& g = on.g;
    const Grid grid{.blocks = ceil_div(g.r * g.s * ceil_div(g.c, kChunk), T::kBlocks),
                    .blocks_y = ceil_div(g.k, T::kFilters),
                    .blocks_z = on.split.parts(),
                    .threads = kRingThreads,
                    .shared_bytes = sizeof(typename T::Stages)};
    const TensorMap dy = encode({.base = on.dy,
                                 .rank = 3,
                                 .size = {g.y_c, 1, g.pixels_out()},
                                 .stride = {1, g.y_c, g.y_c},
                                 .box = {kChunk, 1, T::kStepPixels}});
    launch(wgmma_filter_kernel<T>, grid, on.stream, pixel_map(g, on.x, T::kStepPixels), dy, g, on.out, on.write,
           on.split);
}

void start(const FilterGradientPlan& plan, const FilterCall& on) {
    // The kernels index the pixels of x and dy, padding included, with 32 bits.
    FP_CHECK(plan.split.length <= std::numeric_limits<int>::max(), "conv: a sum over ", plan.split.length,
             " places, more than 2^31");
    if (plan.kernel == ConvKernel::rows) return start_rows(on);
    if (plan.kernel == ConvKernel::taps)
        return on.g.stride == 1 ? start_taps<TapTile<1>>(on) : start_taps<TapTile<2>>(on);
    if (plan.tile == TileSize{256, 128}) return start_blocks<FilterTile<256, 128>>(on);
    if (plan.tile == TileSize{256, 64}) return start_blocks<FilterTile<256, 64>>(on);
    if (plan.tile == TileSize{128, 128}) return start_blocks<FilterTile<128, 128>>(on);
    FP_CHECK((plan.tile == TileSize{128, 64}), "conv: no tile ", plan.tile.m, "x", plan.tile.n);
    start_blocks<FilterTile<128, 64>>(on);
}

}  // namespace

void wgmma_filter(
    const ConvShape& s, const FilterGradientPlan& plan, const Conv::BackwardFilter& a, void* scratch, Stream stream) {
    const ConvSizes g = ConvSizes::of(s);
    const Sum dw{as<float>(a.dw), a.write};
    const bool leaves_parts = plan.leaves_parts(a.write);
    auto* parts = static_cast<float*>(scratch);
    start(plan, {.g = g,
                 .x = as<bf16>(a.x),
                 .dy = as<bf16>(a.dy),
                 .split = plan.split,
                 .out = leaves_parts ? parts : dw.to,
                 .write = leaves_parts ? Write::replace : a.write,
                 .stream = stream});
    if (leaves_parts) add_parts({parts, plan.split.parts(), s.w.stored()}, dw, stream);
}

}  // namespace fp::FP_MACHINE
