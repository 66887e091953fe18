#include <algorithm>

#include "kernels/cuda/plan/conv_plan.h"

namespace fp {
namespace {

// What of panels of 64 channels and 64 filters holds something. Products of full ones run some three times as fast as
// mma.sync's.
double share_of_panels(const ConvShape& s) {
    const double c = s.x.stored_c(), k = s.w.k;
    return c * k / (double(round_up(s.x.stored_c(), 64)) * double(round_up(s.w.k, 64)));
}
constexpr double kLeastShare = 0.3;

bool is_3x3(const ConvShape& s) { return s.w.r == 3 && s.w.s == 3 && s.pad == 1; }

bool fits_rows(const ConvShape& s) { return is_3x3(s) && s.stride == 1 && s.x.stored_c() % 8 == 0; }
bool fits_taps(const ConvShape& s) {
    return is_3x3(s) && (s.stride == 1 || s.stride == 2) && s.x.stored_c() % 8 == 0 &&
           taps_lead(s.stride, s.q()) <= most_taps_lead(s.stride);
}

// Panels of x come once with all taps, nine times with blocks; what padding costs differs: a row and a column for all
// taps, a column for rows, nothing for blocks. 64@56: taps 90, rows 96, blocks 363 (their parts added by the old
// kernel); 128@28: taps 89, rows 91; 256@14: rows 89, blocks 88, taps 100; 512@7: rows 94, blocks 109. At stride 2
// 512@14: blocks 111, taps 112; 64>128@56: taps 61.
FilterKernel kernel_of(const ConvShape& s) {
    if (fits_rows(s) && (s.q() <= 20 || !fits_taps(s))) return FilterKernel::rows;
    return fits_taps(s) && s.q() >= 10 ? FilterKernel::taps : FilterKernel::blocks;
}

bool fits(const ConvShape& s, FilterKernel kernel) {
    if (kernel == FilterKernel::taps) return fits_taps(s);
    return kernel == FilterKernel::rows ? fits_rows(s) : fits_wgmma(s, Pass::filter);
}

Split split_of(const ConvShape& s, const FilterGradientPlan& plan) {
    if (!plan.in_one_block()) return wgmma_split_of(wgmma_product_of(s, Pass::filter), plan.tile);
    const int rows = s.p() + (plan.kernel == FilterKernel::taps ? 1 : 0);
    const int64_t pixels = int64_t(s.x.n) * rows * (s.q() + 1);
    const int64_t tiles = ceil_div(s.x.stored_c(), 64) * ceil_div(s.w.k, 64);
    return split_in_waves(round_up(pixels, 64), tiles, 64);
}

}  // namespace

FilterGradientPlan filter_gradient_plan(const ConvShape& s) {
    const ConvForced& forced = conv_forced();
    FilterGradientPlan plan{.kernel = forced.filter.value_or(kernel_of(s))};
    // 64>128 1x1 / 2 @56: blocks 33, mma.sync 39, though half of a block's rows hold nothing.
    const bool takes =
        forced.filter || (fits_wgmma(s, Pass::filter) &&
                          (share_of_panels(s) >= kLeastShare || takes_wgmma(s, Pass::filter)));
    if (!takes || plan.kernel == FilterKernel::mma_sync) return {};
    FP_REQUIRE(fits(s, plan.kernel), Exit::usage, "conv: no such gradient of these filters");
    plan.tile = wgmma_tile_of(s, Pass::filter).tile;
    if (forced.filter == FilterKernel::blocks && forced.tile.m > 0) {
        plan.tile = forced.tile;
        const auto is = [&](const TileCost& c) { return c.tile == plan.tile; };
        FP_REQUIRE(std::any_of(std::begin(kWgmmaAcrossTiles), std::end(kWgmmaAcrossTiles), is),
                   Exit::usage, "conv: no tile ", plan.tile.m, "x", plan.tile.n);
    }
    plan.split = split_of(s, plan);
    if (forced.parts > 0) plan.split.part = round_up(ceil_div(plan.split.length, forced.parts), 64);
    return plan;
}

std::optional<TileSize> strided_tile(const ConvShape& s) {
    const bool one = s.w.r == 1 && s.w.s == 1 && s.pad == 0;
    const ConvForced& forced = conv_forced();
    if (!forced.strided || s.stride != 2 || !(is_3x3(s) || one) || s.x.stored_c() % 8 != 0)
        return {};
    if (forced.tile.m > 0) {
        FP_REQUIRE(std::find(std::begin(kStridedTiles), std::end(kStridedTiles), forced.tile) !=
                       std::end(kStridedTiles),
                   Exit::usage, "conv: no tile ", forced.tile.m, "x", forced.tile.n);
        return forced.tile;
    }
    if (share_of_panels(s) < kLeastShare) return {};
    // Three blocks of 128x64 on a multiprocessor, or two of 128x128, multiply while another stores: 64>128@56 95 in
    // 128x64 (two blocks of it 110, 256x64 103), 128@56 155 in 128x128 (188 in 256x128). Long sums hide their
    // stores anyway and want the large tile: 512@14 113. 256>512 1x1 @56 187.
    if (s.x.stored_c() <= 64) return TileSize{128, 64};
    const bool long_sum = s.w.r == 3 && s.y().stored_c() >= 512;
    return long_sum ? TileSize{256, 128} : TileSize{128, 128};
}

}  // namespace fp
