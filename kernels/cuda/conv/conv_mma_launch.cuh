// Launchers of conv_mma.cuh: the tile for a shape, the grid for a tile, and the functions of Conv for an operand type
// (bf16 or TF32).
#pragma once

#include "kernels/cuda/conv/conv_mma_gradients.cuh"
#include "kernels/cuda/plan/gemm_shapes.h"
#include "kernels/cuda/walks/parts.cuh"

namespace fp::FP_MACHINE {

// Calls start(MmaTile<Type, m, n>()) for the tile of that size, one of kTensorTiles.
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
    static constexpr size_t kShared = T::template kSharedBytes<typename Source::A, typename Source::B>;

    // The image has 4 stored channels, half a 16-byte unit in bf16. Each pass has one tile for that case.
    static bool half_chunks(const ConvSizes& g) { return g.c % Type::kChunk != 0; }
    static constexpr std::integral_constant<int, Type::kChunk> kWhole{};
    static constexpr std::integral_constant<int, 4> kHalf{};

    static MatrixProduct product(const ConvShape& s, Pass pass) {
        return product_of(s, pass, sizeof(Element), Type::kPeak);
    }
    static TileSize tile_of(const ConvShape& s, Pass pass) {
        if (half_chunks(ConvSizes::of(s))) return pass == Pass::filter ? TileSize{64, 64} : TileSize{128, 64};
        return best_tile(product(s, pass), kTensorTiles).tile;
    }
    static Split filter_split(const ConvShape& s) {
        return mma_split_of(product(s, Pass::filter), tile_of(s, Pass::filter));
    }
    static size_t filter_scratch_bytes(const ConvShape& s) {
        const int parts = filter_split(s).parts();
        const size_t of_parts = parts > 1 ? size_t(parts) * size_t(s.w.stored()) * sizeof(float) : 0;
        return std::max(of_parts, column_sums_scratch_bytes(s.y(), sizeof(Element)));
    }

    static void forward(const ConvShape& shape, const Conv::Infer& a, const Moments& moments, Stream stream) {
        const ConvSizes g = ConvSizes::of(shape);
        const auto start = [&](auto tile, auto unit) {
            using T = decltype(tile);
            const Grid grid{.blocks = ceil_div(g.pixels_out(), T::kM),
                            .blocks_y = ceil_div(g.y_c, T::kN),
                            .threads = T::kThreads,
                            .shared_bytes = kShared<T, TensorForwardSource<T, unit.value>>};
            launch(tensor_forward_kernel<T, unit.value>, grid, stream, g, as<Element>(a.x),
                   static_cast<const Element*>(a.prepared), as<float>(a.bias), as<Element>(a.residual), a.relu,
                   as<Element>(a.y), MomentsOut::of(moments, shape.y()));
        };
        if (!half_chunks(g)) {
            with_tensor_tile<Type>(tile_of(shape, Pass::forward), [&](auto tile) { start(tile, kWhole); });
        } else if constexpr (Type::kChunk > kHalf.value) {
            start(MmaTile<Type, 128, 64>(), kHalf);
        }
    }

    // `filter` is a.w in the products' type.
    static void backward_data(const ConvShape& shape,
                              const Conv::BackwardData& a,
                              const Element* filter,
                              Stream stream) {
        const ConvSizes g = ConvSizes::of(shape);
        FP_CHECK(!half_chunks(g), "conv: no gradient for an image of ", g.c, " stored channels");
        const ParityClasses classes = ParityClasses::of(g);
        const int64_t pixels = int64_t(g.n) * classes.at[0].rows * classes.at[0].columns;  // of the largest class
        with_tensor_tile<Type>(tile_of(shape, Pass::data), [&](auto tile) {
            using T = decltype(tile);
            const Grid grid{.blocks = ceil_div(pixels, T::kM),
                            .blocks_y = ceil_div(g.c, T::kN),
                            .blocks_z = classes.count,
                            .threads = T::kThreads,
                            .shared_bytes = kShared<T, TensorDataSource<T>>};
            launch(tensor_data_kernel<T>, grid, stream, g, classes, as<Element>(a.dy), filter, as<Element>(a.dx),
                   a.write);
        });
    }

    static void backward_filter(const ConvShape& shape, const Conv::BackwardFilter& a, void* scratch, Stream stream) {
        const ConvSizes g = ConvSizes::of(shape);
        const Split split = filter_split(shape);
        const bool one = split.parts() == 1;
        const Sum dw{as<float>(a.dw), a.write}, dbias{as<float>(a.dbias), a.write};
        auto* parts = static_cast<float*>(scratch);
        const auto start = [&](auto tile, auto unit) {
            using T = decltype(tile);
            const Grid grid{.blocks = ceil_div(g.k, T::kM),
                            .blocks_y = ceil_div(g.taps_c(), T::kN),
                            .blocks_z = split.parts(),
                            .threads = T::kThreads,
                            .shared_bytes = kShared<T, TensorFilterSource<T, unit.value>>};
            launch(tensor_filter_kernel<T, unit.value>, grid, stream, g, as<Element>(a.x), as<Element>(a.dy),
                   one ? dw.to : parts, one ? a.write : Write::replace, split);
        };
        if (!half_chunks(g)) {
            with_tensor_tile<Type>(tile_of(shape, Pass::filter), [&](auto tile) { start(tile, kWhole); });
        } else if constexpr (Type::kChunk > kHalf.value) {
            start(MmaTile<Type, 64, 64>(), kHalf);
        }
        if (!one) add_parts({parts, split.parts(), int64_t(g.k) * g.taps_c()}, dw, stream);
        if (a.dbias) column_sums(shape.y(), as<Element>(a.dy), dbias, scratch, stream);
    }
};

// ---- the functions of Conv. Weights::bytes(shape) is the size of the weights in the products' type,
// Weights::lay(shape, w, to, stream) converts them, Weights::use(shape, w, scratch, stream) returns them, converted
// into `scratch` only where necessary.

template <class Type, class Weights>
struct TensorOps {
    using Product = TensorConv<Type>;

    static size_t scratch_bytes(const ConvShape& s) {
        return std::max(Weights::bytes(s), Product::filter_scratch_bytes(s));
    }
    static void forward(const ConvShape& s, const Conv::Forward& a, void* scratch, Stream stream) {
        forward_moments(s, a, {}, scratch, stream);
    }
    static void forward_moments(
        const ConvShape& s, const Conv::Forward& a, const Moments& moments, void* scratch, Stream stream) {
        const auto* filter = Weights::use(s, a.w, scratch, stream);
        Product::forward(s, Conv::Infer::of(a, filter), moments, stream);
    }
    static void backward_data(const ConvShape& s, const Conv::BackwardData& a, void* scratch, Stream stream) {
        Product::backward_data(s, a, Weights::use(s, a.w, scratch, stream), stream);
    }
    static void infer(const ConvShape& s, const Conv::Infer& a, void*, Stream stream) {
        Product::forward(s, a, {}, stream);
    }
    static constexpr Conv conv{
        .scratch_bytes = scratch_bytes,
        .forward = forward,
        .backward_data = backward_data,
        .backward_filter = Product::backward_filter,
        .prepared_bytes = [](const ConvShape& s, Conv::Fused) { return Weights::bytes(s); },
        .prepare =
            [](const ConvShape& s, Conv::Fused, const par* w, void* prepared, Stream stream) {
                Weights::lay(s, w, prepared, stream);
            },
        .infer = infer,
        .moments_parts = [](const ConvShape& s) { return tiles_down(s, Product::tile_of(s, Pass::forward)); },
        .forward_moments = forward_moments};
};

}  // namespace fp::FP_MACHINE
