// Convolution in bf16 on Hopper: what starts its warpgroup products, whose files have formulas, shapes, threads,
// traffic, bound and model.
//
//   forward, and dx at stride 1   conv_wgmma.cuh
//   dw                            conv_wgmma_filter.cuh
//   all else                      conv_tensor.cuh, on mma.sync: what these do not fit (the image's 4 channels, dx at
//                                 stride 2), and gradients where products.h expects less of them
#include "kernels/cuda/columns.cuh"
#include "kernels/cuda/conv_wgmma.cuh"
#include "kernels/cuda/conv_wgmma_filter.cuh"
#include "kernels/cuda/parts.cuh"
#include "kernels/products.h"

namespace fp::FP_MACHINE {

extern const Conv conv_bf16;

namespace {

template <int kM_, int kN_>
struct Tile {
    static constexpr int kM = kM_, kN = kN_;
};
// start(Tile) with the one that `size` names, of kWgmmaAcrossTiles and of kWgmmaTiles.
template <class Start>
void with_across_tile(TileSize size, Start start) {
    if (size == TileSize{256, 128}) return start(Tile<256, 128>());
    if (size == TileSize{256, 64}) return start(Tile<256, 64>());
    if (size == TileSize{128, 128}) return start(Tile<128, 128>());
    start(Tile<128, 64>());
}
template <class Start>
void with_tile(TileSize size, Start start) {
    if (size == TileSize{128, 96}) return start(Tile<128, 96>());
    if (size == TileSize{128, 32}) return start(Tile<128, 32>());
    with_across_tile(size, start);
}
TileSize tile_of(const ConvShape& s, Pass pass) { return wgmma_tile_of(s, pass).tile; }

TensorMap pixel_map(const ConvSizes& g, const bf16* x, int pixels) {
    return encode({.base = x,
                   .rank = 4,
                   .size = {g.c, g.w, g.h, g.n},
                   .stride = {1, g.c, int64_t(g.w) * g.c, int64_t(g.h) * g.w * g.c},
                   .im2col = true,
                   .pixels = pixels,
                   .lower = {-g.pad, -g.pad},
                   .upper = {g.pad - (g.s - 1), g.pad - (g.r - 1)},
                   .step = g.stride});
}

// The convolution `g` of `x`, with filters as those of the convolution `of_filters` lie.
template <template <int> class Filters>
void start_pixels(TileSize size,
                  const ConvSizes& g,
                  const bf16* x,
                  const ConvSizes& of_filters,
                  const bf16* w,
                  const Epilogue& to,
                  Stream stream) {
    const auto start = [&](auto tile) {
        using T = PixelTile<tile.kM, tile.kN, Filters>;
        const Grid grid{.blocks = ceil_div(g.pixels_out(), T::kPixels),
                        .blocks_y = ceil_div(g.y_c, T::kOutputs),
                        .threads = kRingThreads,
                        .shared_bytes = sizeof(typename T::Shared)};
        launch(wgmma_pixels_kernel<T>, grid, stream, pixel_map(g, x, T::kPixels),
               T::Filters::map(of_filters, w), g, to);
    };
    if constexpr (Filters<kChunk>::kOperand == Operand::rows)
        with_tile(size, start);
    else
        with_across_tile(size, start);
}

void wgmma_forward(
    const ConvShape& s, const act* x, const void* w, const Epilogue& to, Stream stream) {
    const ConvSizes g = ConvSizes::of(s);
    start_pixels<FilterRows>(tile_of(s, Pass::forward), g, static_cast<const bf16*>(x), g,
                             static_cast<const bf16*>(w), to, stream);
}

// The gradient of the input as a convolution of dy.
ConvSizes turned_round(const ConvSizes& g) {
    return {.n = g.n,
            .h = g.p,
            .w = g.q,
            .c = g.y_c,
            .k = g.c,
            .r = g.r,
            .s = g.s,
            .p = g.h,
            .q = g.w,
            .y_c = g.c,
            .stride = 1,
            .pad = g.r - 1 - g.pad};
}

Split filter_split(const ConvShape& s) {
    return wgmma_split_of(wgmma_product_of(s, Pass::filter), tile_of(s, Pass::filter));
}

// ---- the ops of kernels.h. The constants of conv_bf16.cu are another file's: so they are called, not copied.

size_t scratch_bytes(const ConvShape& s) {
    const size_t of_others = conv_bf16.scratch_bytes(s);
    if (!takes_wgmma(s, Pass::filter)) return of_others;
    const int parts = filter_split(s).parts();
    return std::max(of_others, parts > 1 ? parts * size_t(s.w.stored()) * sizeof(float) : 0);
}

int moments_rows(const ConvShape& s) {
    return takes_wgmma(s, Pass::forward) ? tile_of(s, Pass::forward).m : conv_bf16.moments_rows(s);
}

void forward_moments(const ConvShape& s,
                     const act* x,
                     const par* w,
                     const par* bias,
                     act* y,
                     const Moments& moments,
                     void* scratch,
                     Stream stream) {
    if (!takes_wgmma(s, Pass::forward))
        return conv_bf16.forward_moments(s, x, w, bias, y, moments, scratch, stream);
    conv_bf16.prepare(s, false, false, w, scratch, stream);
    const MomentsOut out{.data = static_cast<float*>(moments.data),
                         .chunks = Moments::chunks(s.y(), tile_of(s, Pass::forward).m)};
    wgmma_forward(s, x, scratch,
                  {static_cast<const float*>(bias), nullptr, false, static_cast<bf16*>(y), out},
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

void infer(const ConvShape& s,
           const act* x,
           const void* prepared,
           const par* bias,
           const act* residual,
           bool relu,
           act* y,
           void* scratch,
           Stream stream) {
    if (!takes_wgmma(s, Pass::forward))
        return conv_bf16.infer(s, x, prepared, bias, residual, relu, y, scratch, stream);
    wgmma_forward(s, x, prepared,
                  {static_cast<const float*>(bias),
                   static_cast<const bf16*>(residual),
                   relu,
                   static_cast<bf16*>(y),
                   {}},
                  stream);
}

void backward_data(const ConvShape& s,
                   const act* dy,
                   const par* w,
                   act* dx,
                   Write write,
                   void* scratch,
                   Stream stream) {
    if (!takes_wgmma(s, Pass::data))
        return conv_bf16.backward_data(s, dy, w, dx, write, scratch, stream);
    conv_bf16.prepare(s, false, false, w, scratch, stream);
    const ConvSizes g = ConvSizes::of(s);
    auto* to = static_cast<bf16*>(dx);
    start_pixels<FilterColumns>(tile_of(s, Pass::data), turned_round(g),
                                static_cast<const bf16*>(dy), g, static_cast<const bf16*>(scratch),
                                {nullptr, write == Write::add ? to : nullptr, false, to, {}},
                                stream);
}

void backward_filter(const ConvShape& s,
                     const act* x,
                     const act* dy,
                     par* dw,
                     par* dbias,
                     Write write,
                     void* scratch,
                     Stream stream) {
    if (!takes_wgmma(s, Pass::filter))
        return conv_bf16.backward_filter(s, x, dy, dw, dbias, write, scratch, stream);
    const ConvSizes g = ConvSizes::of(s);
    const Split split = filter_split(s);
    const bool one = split.parts() == 1;
    auto *sum = static_cast<float*>(dw), *parts = static_cast<float*>(scratch);
    with_across_tile(tile_of(s, Pass::filter), [&](auto tile) {
        using T = FilterTile<tile.kM, tile.kN>;
        const Grid grid{.blocks = ceil_div(g.r * g.s * ceil_div(g.c, kChunk), T::kBlocks),
                        .blocks_y = ceil_div(g.k, T::kFilters),
                        .blocks_z = split.parts(),
                        .threads = kRingThreads,
                        .shared_bytes = sizeof(typename T::Stages)};
        const TensorMap gradient = encode({.base = dy,
                                           .rank = 3,
                                           .size = {g.y_c, 1, g.pixels_out()},
                                           .stride = {1, g.y_c, g.y_c},
                                           .box = {kChunk, 1, T::kStepPixels}});
        launch(wgmma_filter_kernel<T>, grid, stream,
               pixel_map(g, static_cast<const bf16*>(x), T::kStepPixels), gradient, g,
               one ? sum : parts, one ? write : Write::replace, split);
    });
    if (!one) add_parts(parts, split.parts(), s.w.stored(), sum, write, stream);
    if (dbias)
        column_sums(s.y(), static_cast<const bf16*>(dy), static_cast<float*>(dbias), write, scratch,
                    stream);
}

}  // namespace

extern const Conv conv_bf16_sm90a{
    .scratch_bytes = scratch_bytes,
    .forward = forward,
    .backward_data = backward_data,
    .backward_filter = backward_filter,
    .prepared_bytes = [](const ConvShape& s,
                         bool residual,
                         bool relu) { return conv_bf16.prepared_bytes(s, residual, relu); },
    .prepare = [](const ConvShape& s,
                  bool residual,
                  bool relu,
                  const par* w,
                  void* prepared,
                  Stream stream) { conv_bf16.prepare(s, residual, relu, w, prepared, stream); },
    .infer = infer,
    .moments_rows = moments_rows,
    .forward_moments = forward_moments};

}  // namespace fp::FP_MACHINE
