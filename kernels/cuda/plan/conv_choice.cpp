#include "kernels/cuda/plan/conv_choice.h"

#include <algorithm>
#include <type_traits>
#include <unordered_map>

#include "kernels/cuda/plan/conv_plan.h"
#include "kernels/cuda/plan/cost.h"
#include "kernels/cuda/plan/halo_plan.h"

namespace fp {
namespace {

// By how much an unmeasured kernel must be faster: the error of the model, a share of long launches and a time of short
// ones.
constexpr double kUnmeasuredShare = 0.1, kUnmeasured = 2e-6;
// For few pixels the others take longer than the model says: pixels 128x32 at batch 1 7.5 us where it says 6.0 (3x3 of 64
// channels at 56x56), 4.6 where it says 2.4 (1x1 from 64 to 128 at stride 2), 33 where it says 32 (3x3 of 512 at 7x7).
constexpr double kUnmeasuredSplit = 0.5e-6;

bool fits(const ConvTile& t, const ConvShape& s, Pass pass, ConvExtras extras) {
    if (!(t.passes & bit(pass))) return false;
    switch (t.kernel) {
        case ConvKernel::strided:
            return fits_strided(s);
        case ConvKernel::taps:
            return fits_taps(s);
        case ConvKernel::rows:
            return fits_rows(s);
        case ConvKernel::patch:
            return fits_wgmma(s, pass) && fits_patches(sizes_of(s, pass), t.tile);
        case ConvKernel::split:
            return fits_wgmma(s, pass) && !extras.moments;
        default:
            return fits_wgmma(s, pass);
    }
}

// The fastest choice by the model, among those of `kernel` and `tile` where these are given.
ConvChoice least(
    const ConvShape& s, Pass pass, ConvExtras extras, std::optional<ConvKernel> kernel = {}, TileSize tile = {}) {
    std::optional<ConvChoice> best;
    double best_seconds = 0;
    for (const ConvChoice c : conv_choices(s, pass, extras)) {
        if (kernel && (c.kernel != *kernel || (tile.m > 0 && c.tile != tile))) continue;
        if (c.kernel == conv_forced().without) continue;
        double now = seconds(s, pass, c, extras);
        if (!was_measured(s, pass, c))
            now = now / (1 - kUnmeasuredShare) + (c.kernel == ConvKernel::split ? kUnmeasuredSplit : kUnmeasured);
        if (best && now >= best_seconds) continue;
        best = c;
        best_seconds = now;
    }
    FP_REQUIRE(best, Exit::usage, "conv: kernel ", kernel ? name_of(*kernel) : "", " cannot do it, or not in tiles of ",
               tile.m, "x", tile.n);
    return *best;
}

// The key of the answers that conv_choice remembers, hashed as bytes.
struct Question {
    ConvShape shape;
    int what;
    bool operator==(const Question&) const = default;
};
static_assert(std::has_unique_object_representations_v<Question>);
struct HashOfQuestion {
    size_t operator()(const Question& q) const {
        return std::hash<std::string_view>()({reinterpret_cast<const char*>(&q), sizeof(Question)});
    }
};

}  // namespace

ConvForced& conv_forced() {
    static ConvForced forced;
    return forced;
}

std::string_view name_of(ConvKernel kernel) {
    constexpr std::string_view kNames[] = {"tensor", "pixels", "stream", "patch",      "strided",     "filter",
                                           "taps",   "rows",   "halo",   "halo_wgmma", "halo_filter", "split"};
    static_assert(std::size(kNames) == kConvKernels);
    return kNames[int(kernel)];
}

std::vector<ConvChoice> conv_choices(const ConvShape& s, Pass pass, ConvExtras extras) {
    const TileCost tensor = best_tile(product_of(s, pass, 2, kDevice.bf16_matrix), kTensorTiles);
    std::vector<ConvChoice> all{{ConvKernel::tensor, tensor.tile, tensor.resident}};
    for (const ConvTile& t : kConvTiles)
        if (fits(t, s, pass, extras)) {
            const ConvChoice choice{t.kernel, t.tile, t.resident};
            all.push_back(t.kernel == ConvKernel::split ? in_parts(s, choice) : choice);
        }
    if (s.w.r * s.w.s == 1) return all;
    if (pass == Pass::filter) {
        if (halo_filter_plan(s).exists()) all.push_back({ConvKernel::halo_filter, kHaloFilterTile});
        return all;
    }
    for (const HaloTile& t : kHaloTiles)
        if (const HaloPlan plan = halo_plan(s, pass, t.choice(), extras); plan.exists())
            all.push_back({t.choice().kernel, t.choice().tile, plan.resident});
    return all;
}

bool was_measured(const ConvShape& s, Pass pass, ConvChoice c) {
    const bool stem = s.x.c <= 4, narrow = std::min(s.x.c, s.w.k) < 64;
    using enum ConvKernel;
    if (c.kernel == tensor) return stem || pass == Pass::filter || (pass == Pass::data && s.stride == 2);
    if (c.kernel == halo_filter) return stem;
    for (const HaloTile& t : kHaloTiles)
        if (t.choice().kernel == c.kernel && t.choice().tile == c.tile)
            return t.measured && pass == Pass::forward && std::min(s.x.c, s.w.k) <= 64;
    if (narrow && (c.kernel != pixels || pass == Pass::data)) return false;
    return std::ranges::any_of(kConvTiles, [&](const ConvTile& t) {
        return t.kernel == c.kernel && t.tile == c.tile && t.measured & bit(pass);
    });
}

ConvChoice conv_choice(const ConvShape& s, Pass pass, ConvExtras extras) {
    const ConvForced& forced = conv_forced();
    const auto& kernel = pass == Pass::filter                 ? forced.filter
                         : pass == Pass::data && s.stride > 1 ? forced.strided
                                                              : forced.pixels;
    if (kernel || forced.without || forced.parts > 0) return least(s, pass, extras, kernel, forced.tile);
    // Evaluating the model takes longer than some kernels run.
    thread_local std::unordered_map<Question, ConvChoice, HashOfQuestion> answers;
    const Question question{s, int(pass) * 4 + extras.moments * 2 + extras.residual};
    if (const auto known = answers.find(question); known != answers.end()) return known->second;
    return answers[question] = least(s, pass, extras);
}

}  // namespace fp
