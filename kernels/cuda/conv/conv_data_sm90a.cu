// Launchers of the gradient of the input on warpgroup matrix instructions, at strides 1 and 2.
#include <algorithm>

#include "kernels/cuda/conv/conv_wgmma_launch.cuh"
#include "kernels/cuda/conv/conv_wgmma_strided.cuh"

namespace fp::FP_MACHINE {
namespace {

StridedClasses strided_classes(const ConvSizes& g) {
    StridedClasses classes{.count = 0, .fill = false, .at = {}};
    const ParityClasses all = ParityClasses::of(g);
    for (int i = 0; i < all.count; ++i) {
        const ParityClass& of = all.at[i];
        if (of.taps_r * of.taps_s == 0) classes.fill = true;
        if (of.taps_r * of.taps_s * of.rows * of.columns == 0) continue;
        classes.at[classes.count++] = {of, of.q_shift - (of.taps_s - 1), of.p_shift - (of.taps_r - 1)};
    }
    std::stable_sort(classes.at, classes.at + classes.count, [](const auto& a, const auto& b) {
        return a.of.taps_r * a.of.taps_s > b.of.taps_r * b.of.taps_s;
    });
    return classes;
}

template <class T>
void start_strided(const ConvSizes& g, const Conv::BackwardData& a, const bf16* w, Stream stream) {
    const StridedClasses classes = strided_classes(g);
    StridedMaps maps;
    int64_t most = 0;
    for (int i = 0; i < classes.count; ++i) {
        const auto& [of, begin_w, begin_h] = classes.at[i];
        most = std::max(most, int64_t(g.n) * of.rows * of.columns);
        maps.pixels[i] = encode({.base = as<bf16>(a.dy),
                                 .rank = 4,
                                 .size = {g.y_c, g.q, g.p, g.n},
                                 .stride = {1, g.y_c, int64_t(g.q) * g.y_c, int64_t(g.p) * g.q * g.y_c},
                                 .im2col = true,
                                 .pixels = T::kPixels,
                                 .lower = {begin_w, begin_h},
                                 .upper = {begin_w + of.columns - g.q, begin_h + of.rows - g.p},
                                 .step = 1});
    }
    maps.filters = FilterColumns<kChunk>::map(g, w);
    const Grid grid{.blocks = ceil_div(g.c, T::kOutputs) * classes.count * ceil_div(most, T::kPixels),
                    .threads = T::kThreads,
                    .shared_bytes = sizeof(typename T::Shared)};
    launch(wgmma_strided_kernel<T>, grid, stream, maps, g, classes, as<bf16>(a.dx), a.write);
}

}  // namespace

void wgmma_data(const ConvShape& s, const PixelPlan& plan, const Conv::BackwardData& a, const bf16* w, Stream stream) {
    const ConvSizes of_forward = ConvSizes::of(s), g = turned_round(of_forward);
    const Operands operands{.x = as<bf16>(a.dy), .w = w, .to = Epilogue::of(a)};
    const PixelConvolution on{plan, g, of_forward, operands, stream};
    if (plan.kernel != ConvKernel::pixels) return start_walking<FilterColumns>(on);
    FP_CHECK((plan.tile == TileSize{128, 128}), "conv: no tile ", plan.tile.m, "x", plan.tile.n);
    start_tiles<PixelTile<128, 128, FilterColumns>>(on);
}

void wgmma_strided_data(const ConvShape& s, TileSize tile, const Conv::BackwardData& a, const bf16* w, Stream stream) {
    const ConvSizes g = ConvSizes::of(s);
    if (tile == TileSize{128, 64}) return start_strided<StridedTile<128, 64, 3, 3>>(g, a, w, stream);
    if (tile == TileSize{128, 128}) return start_strided<StridedTile<128, 128, 3, 2>>(g, a, w, stream);
    FP_CHECK((tile == TileSize{256, 128}), "conv: no tile ", tile.m, "x", tile.n);
    start_strided<StridedTile<256, 128, 4, 1>>(g, a, w, stream);
}

}  // namespace fp::FP_MACHINE
