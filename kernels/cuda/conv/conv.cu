// Convolution in float32: the launchers of conv_f32.cuh, whose head has formulas, shapes, threads, traffic, bound and
// model. A prepared filter is a copy of the filter (8 bytes of traffic per weight).
#include "kernels/cuda/conv/conv_f32.cuh"
#include "kernels/cuda/plan/gemm_shapes.h"
#include "kernels/cuda/walks/columns.cuh"
#include "kernels/cuda/walks/parts.cuh"

namespace fp::FP_MACHINE {
namespace {

MatrixProduct product(const ConvShape& s, Pass pass) { return product_of(s, pass, sizeof(float), kDevice.ffma); }
TileSize tile_of(const ConvShape& s, Pass pass) { return best_tile(product(s, pass), kFfmaTiles).tile; }
Split filter_split(const ConvShape& s) { return ffma_split_of(product(s, Pass::filter), tile_of(s, Pass::filter)); }

__global__ void copy_kernel(const float* __restrict__ from, float* __restrict__ to, int64_t packs) {
    const int64_t i = flat_index();
    if (i < packs) store_pack(to + 4 * i, load_pack(from + 4 * i));
}

// Calls start(GemmTile<m, n>()) for the tile of that size.
template <class Start>
void with_tile(TileSize size, Start start) {
    if (size == TileSize{128, 128}) return start(GemmTile<128, 128>());
    if (size == TileSize{128, 64}) return start(GemmTile<128, 64>());
    start(GemmTile<64, 64>());
}

size_t conv_scratch_bytes(const ConvShape& shape) {
    const int parts = filter_split(shape).parts();
    const size_t of_parts = parts > 1 ? size_t(parts) * size_t(shape.w.stored()) * sizeof(float) : 0;
    return std::max(of_parts, column_sums_scratch_bytes(shape.y(), sizeof(float)));
}

void conv_forward(const ConvShape& shape, const Conv::Infer& a, const Moments& moments, Stream stream) {
    const ConvSizes g = ConvSizes::of(shape);
    with_tile(tile_of(shape, Pass::forward), [&](auto tile) {
        using T = decltype(tile);
        const Grid grid{
            .blocks = ceil_div(g.pixels_out(), T::kM), .blocks_y = ceil_div(g.y_c, T::kN), .threads = T::kThreads};
        launch(conv_forward_kernel<T>, grid, stream, g, as<float>(a.x), static_cast<const float*>(a.prepared),
               as<float>(a.bias), as<float>(a.residual), a.relu, as<float>(a.y), MomentsOut::of(moments, shape.y()));
    });
}

void backward_data(const ConvShape& shape, const Conv::BackwardData& a, void*, Stream stream) {
    const ConvSizes g = ConvSizes::of(shape);
    const ParityClasses classes = ParityClasses::of(g);
    const int64_t pixels = g.n * ceil_div(g.h, g.stride) * ceil_div(g.w, g.stride);  // of the largest class
    with_tile(tile_of(shape, Pass::data), [&](auto tile) {
        using T = decltype(tile);
        const Grid grid{.blocks = ceil_div(pixels, T::kM),
                        .blocks_y = ceil_div(g.c, T::kN),
                        .blocks_z = classes.count,
                        .threads = T::kThreads};
        launch(conv_backward_data_kernel<T>, grid, stream, g, classes, as<float>(a.dy), as<float>(a.w), as<float>(a.dx),
               a.write);
    });
}

void backward_filter(const ConvShape& shape, const Conv::BackwardFilter& a, void* scratch, Stream stream) {
    const ConvSizes g = ConvSizes::of(shape);
    const Split split = filter_split(shape);
    const bool whole = split.parts() == 1;
    const Sum dw{as<float>(a.dw), a.write}, dbias{as<float>(a.dbias), a.write};
    auto* parts = static_cast<float*>(scratch);
    with_tile(tile_of(shape, Pass::filter), [&](auto tile) {
        using T = decltype(tile);
        const Grid grid{.blocks = ceil_div(g.k, T::kM),
                        .blocks_y = ceil_div(g.taps_c(), T::kN),
                        .blocks_z = split.parts(),
                        .threads = T::kThreads};
        launch(conv_backward_filter_kernel<T>, grid, stream, g, as<float>(a.x), as<float>(a.dy), whole ? dw.to : parts,
               whole ? a.write : Write::replace, split);
    });
    if (!whole) add_parts({parts, split.parts(), int64_t(g.k) * g.taps_c()}, dw, stream);
    if (a.dbias) column_sums(shape.y(), as<float>(a.dy), dbias, scratch, stream);
}

void forward_moments(const ConvShape& s, const Conv::Forward& a, const Moments& moments, void*, Stream stream) {
    conv_forward(s, Conv::Infer::of(a, a.w), moments, stream);
}
void forward(const ConvShape& s, const Conv::Forward& a, void* scratch, Stream stream) {
    forward_moments(s, a, {}, scratch, stream);
}
void infer(const ConvShape& s, const Conv::Infer& a, void*, Stream stream) { conv_forward(s, a, {}, stream); }

}  // namespace

size_t conv_prepared_bytes(const ConvShape& s, Conv::Fused) { return size_t(s.w.stored()) * sizeof(float); }
void conv_prepare(const ConvShape& s, Conv::Fused, const par* w, void* prepared, Stream stream) {
    const int64_t packs = s.w.stored() / 4;
    launch(copy_kernel, flat_grid(packs), stream, as<float>(w), static_cast<float*>(prepared), packs);
}

extern const Conv conv_f32{.scratch_bytes = conv_scratch_bytes,
                           .forward = forward,
                           .backward_data = backward_data,
                           .backward_filter = backward_filter,
                           .prepared_bytes = conv_prepared_bytes,
                           .prepare = conv_prepare,
                           .infer = infer,
                           .moments_parts = [](const ConvShape& s) { return tiles_down(s, tile_of(s, Pass::forward)); },
                           .forward_moments = forward_moments};

}  // namespace fp::FP_MACHINE
