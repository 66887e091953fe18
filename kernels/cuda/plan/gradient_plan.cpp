#include "kernels/cuda/plan/conv_plan.h"

namespace fp {
namespace {

bool is_3x3(const ConvShape& s) { return s.w.r == 3 && s.w.s == 3 && s.pad == 1; }
bool is_1x1(const ConvShape& s) { return s.w.r == 1 && s.w.s == 1 && s.pad == 0; }

// The length of the sum of kernels `taps` and `rows`: pixels with a zero behind each row, for `taps` also a row of
// zeros behind each sample.
int64_t places(const ConvShape& s, ConvKernel kernel) {
    const int rows = s.p() + (kernel == ConvKernel::taps ? 1 : 0);
    return round_up(int64_t(s.x.n) * rows * (s.q() + 1), 64);
}
constexpr int64_t kMostPlaces = int64_t(1) << 30;  // the kernels count them in 32 bits

}  // namespace

bool fits_strided(const ConvShape& s) { return s.stride == 2 && (is_3x3(s) || is_1x1(s)) && s.x.stored_c() % 8 == 0; }
bool fits_rows(const ConvShape& s) {
    return is_3x3(s) && s.stride == 1 && s.x.stored_c() % 8 == 0 && places(s, ConvKernel::rows) < kMostPlaces;
}
bool fits_taps(const ConvShape& s) {
    return is_3x3(s) && (s.stride == 1 || s.stride == 2) && s.x.stored_c() % 8 == 0 &&
           taps_lead(s.stride, s.q()) <= most_taps_lead(s.stride) && places(s, ConvKernel::taps) < kMostPlaces;
}

Split filter_split(const ConvShape& s, ConvChoice choice) {
    if (choice.kernel == ConvKernel::filter) return wgmma_split_of(wgmma_product_of(s, Pass::filter), choice.tile);
    const int64_t tiles = ceil_div(s.x.stored_c(), 64) * ceil_div(s.w.k, 64);
    return split_in_waves(places(s, choice.kernel), tiles, 64);
}

FilterGradientPlan filter_gradient_plan(const ConvShape& s) {
    const ConvChoice choice = conv_choice(s, Pass::filter);
    FilterGradientPlan plan{.kernel = choice.kernel, .tile = choice.tile};
    if (choice.kernel != ConvKernel::filter && !plan.in_one_block()) return plan;
    plan.split = filter_split(s, choice);
    if (const int parts = conv_forced().parts; parts > 0)
        plan.split.part = round_up(ceil_div(plan.split.length, parts), 64);
    return plan;
}

}  // namespace fp
