// Convolution in float32: what starts the kernels of conv_f32.cuh, whose head has formulas, shapes, threads,
// traffic, bound and model. For inference the filter is best as it is: `prepare` copies it, 8 bytes a weight.
#include "kernels/cuda/conv/conv_f32.cuh"
#include "kernels/cuda/plan/gemm_shapes.h"
#include "kernels/cuda/walks/columns.cuh"
#include "kernels/cuda/walks/parts.cuh"

namespace fp::FP_MACHINE {
namespace {

MatrixProduct product(const ConvShape& s, Pass pass) {
    return product_of(s, pass, sizeof(float), kDevice.ffma);
}
TileSize tile_of(const ConvShape& s, Pass pass) {
    return best_tile(product(s, pass), kFfmaTiles).tile;
}
Split filter_split(const ConvShape& s) {
    return ffma_split_of(product(s, Pass::filter), tile_of(s, Pass::filter));
}

__global__ void copy_kernel(const float* __restrict__ from, float* __restrict__ to, int64_t packs) {
    const int64_t i = flat_index();
    if (i < packs) store_pack(to + 4 * i, load_pack(from + 4 * i));
}

// start(GemmTile) with the tile that `size` names.
template <class Start>
void with_tile(TileSize size, Start start) {
    if (size == TileSize{128, 128}) return start(GemmTile<128, 128>());
    if (size == TileSize{128, 64}) return start(GemmTile<128, 64>());
    start(GemmTile<64, 64>());
}

size_t conv_scratch_bytes(const ConvShape& shape) {
    const int parts = filter_split(shape).parts();
    const size_t of_parts =
        parts > 1 ? size_t(parts) * size_t(shape.w.stored()) * sizeof(float) : 0;
    return std::max(of_parts, column_sums_scratch_bytes(shape.y(), sizeof(float)));
}

void conv_forward(const ConvShape& shape,
                  const float* x,
                  const float* w,
                  const float* bias,
                  const float* residual,
                  bool relu,
                  float* y,
                  const Moments& moments,
                  Stream stream) {
    const ConvSizes g = ConvSizes::of(shape);
    with_tile(tile_of(shape, Pass::forward), [&](auto tile) {
        using T = decltype(tile);
        const Grid grid{.blocks = ceil_div(g.pixels_out(), T::kM),
                        .blocks_y = ceil_div(g.y_c, T::kN),
                        .threads = T::kThreads};
        launch(conv_forward_kernel<T>, grid, stream, g, x, w, bias, residual, relu, y,
               MomentsOut{static_cast<float*>(moments.data), grid.blocks});
    });
}

void conv_backward_data(const ConvShape& shape,
                        const float* dy,
                        const float* w,
                        float* dx,
                        Write write,
                        Stream stream) {
    const ConvSizes g = ConvSizes::of(shape);
    const ParityClasses classes = ParityClasses::of(g);
    const int64_t pixels =
        g.n * ceil_div(g.h, g.stride) * ceil_div(g.w, g.stride);  // the largest's
    with_tile(tile_of(shape, Pass::data), [&](auto tile) {
        using T = decltype(tile);
        const Grid grid{.blocks = ceil_div(pixels, T::kM),
                        .blocks_y = ceil_div(g.c, T::kN),
                        .blocks_z = classes.count,
                        .threads = T::kThreads};
        launch(conv_backward_data_kernel<T>, grid, stream, g, classes, dy, w, dx, write);
    });
}

void conv_backward_filter(const ConvShape& shape,
                          const float* x,
                          const float* dy,
                          float* dw,
                          float* dbias,
                          Write write,
                          void* scratch,
                          Stream stream) {
    const ConvSizes g = ConvSizes::of(shape);
    const Split split = filter_split(shape);
    const bool whole = split.parts() == 1;
    auto* parts = static_cast<float*>(scratch);
    with_tile(tile_of(shape, Pass::filter), [&](auto tile) {
        using T = decltype(tile);
        const Grid grid{.blocks = ceil_div(g.k, T::kM),
                        .blocks_y = ceil_div(g.taps_c(), T::kN),
                        .blocks_z = split.parts(),
                        .threads = T::kThreads};
        launch(conv_backward_filter_kernel<T>, grid, stream, g, x, dy, whole ? dw : parts,
               whole ? write : Write::replace, split);
    });
    if (!whole) add_parts(parts, split.parts(), int64_t(g.k) * g.taps_c(), dw, write, stream);
    if (dbias) column_sums(shape.y(), dy, dbias, write, scratch, stream);
}

void forward_moments(const ConvShape& s,
                     const act* x,
                     const par* w,
                     const par* bias,
                     act* y,
                     const Moments& moments,
                     void*,
                     Stream stream) {
    conv_forward(s, static_cast<const float*>(x), static_cast<const float*>(w),
                 static_cast<const float*>(bias), nullptr, false, static_cast<float*>(y), moments,
                 stream);
}
void forward(const ConvShape& s,
             const act* x,
             const par* w,
             const par* bias,
             act* y,
             void* scratch,
             Stream stream) {
    forward_moments(s, x, w, bias, y, {}, scratch, stream);
}

void backward_data(
    const ConvShape& s, const act* dy, const par* w, act* dx, Write write, void*, Stream stream) {
    conv_backward_data(s, static_cast<const float*>(dy), static_cast<const float*>(w),
                       static_cast<float*>(dx), write, stream);
}

void backward_filter(const ConvShape& s,
                     const act* x,
                     const act* dy,
                     par* dw,
                     par* dbias,
                     Write write,
                     void* scratch,
                     Stream stream) {
    conv_backward_filter(s, static_cast<const float*>(x), static_cast<const float*>(dy),
                         static_cast<float*>(dw), static_cast<float*>(dbias), write, scratch,
                         stream);
}

void infer(const ConvShape& s,
           const act* x,
           const void* prepared,
           const par* bias,
           const act* residual,
           bool relu,
           act* y,
           void*,
           Stream stream) {
    conv_forward(s, static_cast<const float*>(x), static_cast<const float*>(prepared),
                 static_cast<const float*>(bias), static_cast<const float*>(residual), relu,
                 static_cast<float*>(y), {}, stream);
}

}  // namespace

size_t conv_prepared_bytes(const ConvShape& s, bool, bool) {
    return size_t(s.w.stored()) * sizeof(float);
}
void conv_prepare(const ConvShape& s, bool, bool, const par* w, void* prepared, Stream stream) {
    const int64_t packs = s.w.stored() / 4;
    launch(copy_kernel, flat_grid(packs), stream, static_cast<const float*>(w),
           static_cast<float*>(prepared), packs);
}

extern const Conv conv_f32{
    .scratch_bytes = conv_scratch_bytes,
    .forward = forward,
    .backward_data = backward_data,
    .backward_filter = backward_filter,
    .prepared_bytes = conv_prepared_bytes,
    .prepare = conv_prepare,
    .infer = infer,
    .moments_rows = [](const ConvShape& s) -> Moments::Rows { return tile_of(s, Pass::forward).m; },
    .forward_moments = forward_moments};

}  // namespace fp::FP_MACHINE
