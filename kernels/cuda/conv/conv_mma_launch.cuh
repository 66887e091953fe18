// What starts the kernels of conv_mma.cuh: the tile for a shape, the grid for a tile, and the ops of
// kernels.h for a type of operand.
#pragma once

#include "kernels/cuda/conv/conv_mma.cuh"
#include "kernels/cuda/plan/gemm_shapes.h"
#include "kernels/cuda/walks/parts.cuh"

namespace fp::FP_MACHINE {

// start(MmaTile) with the tile that `size` names, one of kTensorTiles.
template <class Type, class Start>
void with_tensor_tile(TileSize size, Start start) {
    if (size == TileSize{128, 128}) return start(MmaTile<Type, 128, 128>());
    if (size == TileSize{128, 64}) return start(MmaTile<Type, 128, 64>());
    if (size == TileSize{64, 128}) return start(MmaTile<Type, 64, 128>());
    if (size == TileSize{128, 32}) return start(MmaTile<Type, 128, 32>());
    start(MmaTile<Type, 64, 64>());
}

template <class Type>
struct TensorConv {
    using Element = typename Type::Element;
    template <class T, class Source>
    static constexpr size_t kShared =
        T::template kSharedBytes<typename Source::A, typename Source::B>;

    // The image's 4 channels of bf16 are half a chunk; there one tile each way must do.
    static bool half_chunks(const ConvSizes& g) { return g.c % Type::kChunk != 0; }
    static constexpr std::integral_constant<int, Type::kChunk> kWhole{};
    static constexpr std::integral_constant<int, 4> kHalf{};

    static MatrixProduct product(const ConvShape& s, Pass pass) {
        return product_of(s, pass, sizeof(Element), Type::kPeak);
    }
    static TileSize tile_of(const ConvShape& s, Pass pass) {
        if (half_chunks(ConvSizes::of(s)))
            return pass == Pass::filter ? TileSize{64, 64} : TileSize{128, 64};
        return best_tile(product(s, pass), kTensorTiles).tile;
    }
    static Split filter_split(const ConvShape& s) {
        return mma_split_of(product(s, Pass::filter), tile_of(s, Pass::filter));
    }
    static size_t filter_scratch_bytes(const ConvShape& s) {
        const int parts = filter_split(s).parts();
        const size_t of_parts =
            parts > 1 ? size_t(parts) * size_t(s.w.stored()) * sizeof(float) : 0;
        return std::max(of_parts, column_sums_scratch_bytes(s.y(), sizeof(Element)));
    }

    static void forward(const ConvShape& shape,
                        const Element* x,
                        const Element* w,
                        const float* bias,
                        const Element* residual,
                        bool relu,
                        Element* y,
                        const Moments& moments,
                        Stream stream) {
        const ConvSizes g = ConvSizes::of(shape);
        const auto start = [&](auto tile, auto unit) {
            using T = decltype(tile);
            const Grid grid{.blocks = ceil_div(g.pixels_out(), T::kM),
                            .blocks_y = ceil_div(g.y_c, T::kN),
                            .threads = T::kThreads,
                            .shared_bytes = kShared<T, TensorForwardSource<T, unit.value>>};
            launch(tensor_forward_kernel<T, unit.value>, grid, stream, g, x, w, bias, residual,
                   relu, y, MomentsOut{static_cast<float*>(moments.data), grid.blocks});
        };
        if (!half_chunks(g)) {
            with_tensor_tile<Type>(tile_of(shape, Pass::forward),
                                   [&](auto tile) { start(tile, kWhole); });
        } else if constexpr (Type::kChunk > kHalf.value) {
            start(MmaTile<Type, 128, 64>(), kHalf);
        }
    }

    static void backward_data(const ConvShape& shape,
                              const Element* dy,
                              const Element* w,
                              Element* dx,
                              Write write,
                              Stream stream) {
        const ConvSizes g = ConvSizes::of(shape);
        FP_CHECK(!half_chunks(g), "conv: no gradient for an image of ", g.c, " stored channels");
        const ParityClasses classes = ParityClasses::of(g);
        const int64_t pixels =
            int64_t(g.n) * classes.at[0].rows * classes.at[0].columns;  // the largest's
        with_tensor_tile<Type>(tile_of(shape, Pass::data), [&](auto tile) {
            using T = decltype(tile);
            const Grid grid{.blocks = ceil_div(pixels, T::kM),
                            .blocks_y = ceil_div(g.c, T::kN),
                            .blocks_z = classes.count,
                            .threads = T::kThreads,
                            .shared_bytes = kShared<T, TensorDataSource<T>>};
            launch(tensor_data_kernel<T>, grid, stream, g, classes, dy, w, dx, write);
        });
    }

    static void backward_filter(const ConvShape& shape,
                                const Element* x,
                                const Element* dy,
                                float* dw,
                                float* dbias,
                                Write write,
                                void* scratch,
                                Stream stream) {
        const ConvSizes g = ConvSizes::of(shape);
        const Split split = filter_split(shape);
        const bool one = split.parts() == 1;
        auto* parts = static_cast<float*>(scratch);
        const auto start = [&](auto tile, auto unit) {
            using T = decltype(tile);
            const Grid grid{.blocks = ceil_div(g.k, T::kM),
                            .blocks_y = ceil_div(g.taps_c(), T::kN),
                            .blocks_z = split.parts(),
                            .threads = T::kThreads,
                            .shared_bytes = kShared<T, TensorFilterSource<T, unit.value>>};
            launch(tensor_filter_kernel<T, unit.value>, grid, stream, g, x, dy, one ? dw : parts,
                   one ? write : Write::replace, split);
        };
        if (!half_chunks(g)) {
            with_tensor_tile<Type>(tile_of(shape, Pass::filter),
                                   [&](auto tile) { start(tile, kWhole); });
        } else if constexpr (Type::kChunk > kHalf.value) {
            start(MmaTile<Type, 64, 64>(), kHalf);
        }
        if (!one) add_parts(parts, split.parts(), int64_t(g.k) * g.taps_c(), dw, write, stream);
        if (dbias) column_sums(shape.y(), dy, dbias, write, scratch, stream);
    }
};

// ---- the ops of kernels.h. Weights::bytes(shape) of memory hold what Weights::lay(shape, w, memory) makes
// of the float32 weights; Weights::use(shape, w, scratch) does so only where it must.

template <class Type, class Weights>
struct TensorOps {
    using Product = TensorConv<Type>;
    using Element = typename Type::Element;

    static size_t scratch_bytes(const ConvShape& s) {
        return std::max(Weights::bytes(s), Product::filter_scratch_bytes(s));
    }
    static void forward(const ConvShape& s,
                        const act* x,
                        const par* w,
                        const par* bias,
                        act* y,
                        void* scratch,
                        Stream stream) {
        forward_moments(s, x, w, bias, y, {}, scratch, stream);
    }
    static void forward_moments(const ConvShape& s,
                                const act* x,
                                const par* w,
                                const par* bias,
                                act* y,
                                const Moments& moments,
                                void* scratch,
                                Stream stream) {
        Product::forward(s, static_cast<const Element*>(x), Weights::use(s, w, scratch, stream),
                         static_cast<const float*>(bias), nullptr, false, static_cast<Element*>(y),
                         moments, stream);
    }
    static void backward_data(const ConvShape& s,
                              const act* dy,
                              const par* w,
                              act* dx,
                              Write write,
                              void* scratch,
                              Stream stream) {
        Product::backward_data(s, static_cast<const Element*>(dy),
                               Weights::use(s, w, scratch, stream), static_cast<Element*>(dx),
                               write, stream);
    }
    static void backward_filter(const ConvShape& s,
                                const act* x,
                                const act* dy,
                                par* dw,
                                par* dbias,
                                Write write,
                                void* scratch,
                                Stream stream) {
        Product::backward_filter(s, static_cast<const Element*>(x), static_cast<const Element*>(dy),
                                 static_cast<float*>(dw), static_cast<float*>(dbias), write,
                                 scratch, stream);
    }
    static void infer(const ConvShape& s,
                      const act* x,
                      const void* prepared,
                      const par* bias,
                      const act* residual,
                      bool relu,
                      act* y,
                      void*,
                      Stream stream) {
        Product::forward(s, static_cast<const Element*>(x), static_cast<const Element*>(prepared),
                         static_cast<const float*>(bias), static_cast<const Element*>(residual),
                         relu, static_cast<Element*>(y), {}, stream);
    }
    static constexpr Conv conv{
        .scratch_bytes = scratch_bytes,
        .forward = forward,
        .backward_data = backward_data,
        .backward_filter = backward_filter,
        .prepared_bytes = [](const ConvShape& s, bool, bool) { return Weights::bytes(s); },
        .prepare =
            [](const ConvShape& s, bool, bool, const par* w, void* prepared, Stream stream) {
                Weights::lay(s, w, prepared, stream);
            },
        .infer = infer,
        .moments_rows = [](const ConvShape& s) -> Moments::Rows {
            return Product::tile_of(s, Pass::forward).m;
        },
        .forward_moments = forward_moments};
};

}  // namespace fp::FP_MACHINE
