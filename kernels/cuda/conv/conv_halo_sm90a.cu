// Launchers of conv_halo.cuh and conv_halo_filter.cuh, tiled as plan/halo_plan.h decides.
#include "kernels/cuda/conv/conv_halo.h"

#include <type_traits>

#include "kernels/cuda/conv/conv.cuh"
#include "kernels/cuda/conv/conv_halo.cuh"
#include "kernels/cuda/conv/conv_halo_filter.cuh"
#include "kernels/cuda/walks/columns.cuh"
#include "kernels/cuda/walks/parts.cuh"

namespace fp::FP_MACHINE {
namespace {

template <int kIndex>
using Products =
    std::conditional_t<kHaloTiles[kIndex].products == HaloProducts::wgmma, HaloWgmma<kIndex>, HaloMma<kIndex>>;

template <int kIndex, HaloFilters kFilters>
void start(const HaloPlan& plan, const Operands& on, Stream stream) {
    using T = Products<kIndex>;
    const Grid grid{
        .blocks = plan.blocks, .blocks_y = plan.slices, .threads = T::kThreads, .shared_bytes = plan.shared_bytes};
    if constexpr (kFilters != HaloFilters::turned)
        if (on.to.moments.data)
            return launch(halo_kernel<T, kFilters, true>, grid, stream, plan.sizes, on.x, on.w, on.to);
    launch(halo_kernel<T, kFilters, false>, grid, stream, plan.sizes, on.x, on.w, on.to);
}

// Launches the kernel for the plan's tile, which is one of kHaloTiles from kIndex on.
template <int kIndex = 0>
void start_tile(const HaloPlan& plan, const Operands& on, Stream stream) {
    if constexpr (kIndex < kHaloTileCount) {
        constexpr HaloTile kTile = kHaloTiles[kIndex];
        if (plan.tile != kIndex) return start_tile<kIndex + 1>(plan, on, stream);
        using enum HaloFilters;
        if constexpr (kTile.n() >= kHaloStemOutputs)
            if (plan.filters == pairs) return start<kIndex, pairs>(plan, on, stream);
        if constexpr (kTile.products == HaloProducts::mma)
            plan.filters == turned ? start<kIndex, turned>(plan, on, stream) : start<kIndex, forward>(plan, on, stream);
    }
}

// Calls start(HaloFilterTile<runs>()).
template <int kRuns = 1, class Start>
void with_filter_tile(int runs, Start start) {
    if constexpr (kRuns <= kHaloFilterRuns) {
        if (runs == kRuns) return start(HaloFilterTile<kRuns>());
        with_filter_tile<kRuns + 1>(runs, start);
    }
}

}  // namespace

void halo_convolution(const ConvShape& s, const HaloPlan& plan, const Operands& on, Stream stream) {
    ConvSizes::of(s);  // checks the layout
    FP_CHECK(plan.exists(), "conv: no tile of few channels fits");
    start_tile(plan, on, stream);
}

void halo_filter_gradient(const ConvShape& s, const Conv::BackwardFilter& a, void* scratch, Stream stream) {
    ConvSizes::of(s);  // checks the layout
    const HaloFilterPlan plan = halo_filter_plan(s);
    FP_CHECK(plan.exists(), "conv: no tile of few channels fits");
    const bool one = plan.parts == 1;
    const Sum dw{as<float>(a.dw), a.write}, dbias{as<float>(a.dbias), a.write};
    auto* parts = static_cast<float*>(scratch);
    with_filter_tile(plan.runs, [&](auto tile) {
        using T = decltype(tile);
        const Grid grid{.blocks = plan.parts,
                        .blocks_y = plan.slices_k,
                        .blocks_z = plan.slices_terms,
                        .threads = T::kThreads,
                        .shared_bytes = plan.shared_bytes};
        const auto kernel = plan.pairs ? halo_filter_kernel<T, true> : halo_filter_kernel<T, false>;
        launch(kernel, grid, stream, plan.sizes, as<bf16>(a.x), as<bf16>(a.dy), one ? dw.to : parts,
               one ? a.write : Write::replace);
    });
    if (!one) add_parts({parts, plan.parts, s.w.stored()}, dw, stream);
    if (a.dbias) column_sums(s.y(), as<bf16>(a.dy), dbias, scratch, stream);
}

}  // namespace fp::FP_MACHINE
