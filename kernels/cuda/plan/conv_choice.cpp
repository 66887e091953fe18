#include "kernels/cuda/plan/conv_choice.h"

#include <algorithm>
#include <iterator>
#include <type_traits>
#include <unordered_map>

#include "kernels/cuda/plan/conv_plan.h"
#include "kernels/cuda/plan/cost.h"
#include "kernels/cuda/plan/halo_plan.h"
#include "kernels/cuda/plan/layout.h"

namespace fp {
namespace {

// By how much an unmeasured kernel must be faster: the error of the model, a share of long launches and a time of short
// ones.
constexpr double kUnmeasuredShare = 0.1, kUnmeasured = 2e-6;
// For few pixels the others take longer than the model says: pixels 128x32 at batch 1 7.5 us where it says 6.0 (3x3 of 64
// channels at 56x56), 4.6 where it says 2.4 (1x1 from 64 to 128 at stride 2), 33 where it says 32 (3x3 of 512 at 7x7).
constexpr double kUnmeasuredSplit = 0.5e-6;
constexpr int kManyChannels = 64;  // measurements of layers with so many say nothing of layers with fewer
constexpr int kWidths[] = {16, 32, 48, 64, 96, 128, 192, 256, 320, 384, 448, 512};  // of wider layers

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

// The same layer with other numbers of channels, stored as they are.
ConvShape with_channels(ConvShape s, int c, int k) {
    s.x.c = s.x.block = c;
    s.w = krsc_filter(k, c, s.w.r, s.w.s, c);
    s.y_block = k;
    return s;
}

// The modelled time, and more for a kernel that was not measured: never more than what it takes on a layer of
// kManyChannels, if it was measured there, because fewer channels are less work.
double cautious_seconds(const ConvShape& s, Pass pass, ConvChoice c, ConvExtras extras) {
    const double now = seconds(s, pass, c, extras);
    if (was_measured(s, pass, c)) return now;
    const double guess =
        now / (1 - kUnmeasuredShare) + (c.kernel == ConvKernel::split ? kUnmeasuredSplit : kUnmeasured);
    const ConvShape wide =
        with_channels(s, std::max(s.x.stored_c(), kManyChannels), std::max(s.y().stored_c(), kManyChannels));
    if (c.on_halo() || c.kernel == ConvKernel::halo_filter || !was_measured(wide, pass, c)) return guess;
    return std::min(guess, std::max(now, seconds(wide, pass, c, extras)));
}

// The fastest choice by the model, among those of `kernel` and `tile` where these are given.
ConvChoice least(
    const ConvShape& s, Pass pass, ConvExtras extras, std::optional<ConvKernel> kernel = {}, TileSize tile = {}) {
    std::optional<ConvChoice> best;
    double best_seconds = 0;
    for (const ConvChoice c : conv_choices(s, pass, extras)) {
        if (kernel && (c.kernel != *kernel || (tile.m > 0 && c.tile != tile))) continue;
        if (c.kernel == conv_forced().without) continue;
        const double now = cautious_seconds(s, pass, c, extras);
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

using Answers = std::unordered_map<Question, ConvChoice, HashOfQuestion>;

// Evaluating the model takes longer than some kernels run, so that answers are kept.
template <class Find>
ConvChoice remembered(Answers& answers, const ConvShape& s, Pass pass, ConvExtras extras, Find find) {
    const Question question{s, int(pass) * 4 + extras.moments * 2 + extras.residual};
    if (const auto known = answers.find(question); known != answers.end()) return known->second;
    return answers[question] = find(s, pass, extras);
}

ConvChoice least_here(const ConvShape& s, Pass pass, ConvExtras extras) {
    thread_local Answers answers;
    return remembered(answers, s, pass, extras,
                      [](const ConvShape& shape, Pass p, ConvExtras e) { return least(shape, p, e); });
}

// Those of kWidths that are no less, or the number itself.
std::vector<int> widths_from(int channels) {
    std::vector<int> out;
    std::ranges::copy_if(kWidths, std::back_inserter(out), [&](int width) { return width >= channels; });
    if (out.empty()) out.push_back(channels);
    return out;
}

// The same, or what a layer with more channels takes where that is faster here: otherwise a layer would become slower
// when channels go and a kernel that was not measured is no longer well ahead. The wider layers of a layer include those
// of every layer that is wider.
ConvChoice least_of_wider(const ConvShape& s, Pass pass, ConvExtras extras) {
    ConvChoice best = least_here(s, pass, extras);
    double best_seconds = seconds(s, pass, best, extras);
    const std::vector<ConvChoice> here = conv_choices(s, pass, extras);
    const bool image = s.x.c <= 4;
    for (const int c : image ? std::vector{s.x.stored_c()} : widths_from(s.x.stored_c()))
        for (const int k : widths_from(s.y().stored_c())) {
            const ConvChoice wider = least_here(with_channels(s, c, k), pass, extras);
            const auto found = std::ranges::find_if(
                here, [&](const ConvChoice& one) { return one.kernel == wider.kernel && one.tile == wider.tile; });
            if (found == here.end()) continue;
            const double now = seconds(s, pass, *found, extras);
            if (now >= best_seconds) continue;
            best = *found;
            best_seconds = now;
        }
    return best;
}

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
    if (s.w.r * s.w.s == 1 && std::min(s.x.c, s.w.k) >= kManyChannels) return all;
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
    const bool stem = s.x.c <= 4, narrow = std::min(s.x.c, s.w.k) < kManyChannels;
    using enum ConvKernel;
    if (c.kernel == tensor) return stem || pass == Pass::filter || (pass == Pass::data && s.stride == 2);
    if (c.kernel == halo_filter) return stem;
    for (const HaloTile& t : kHaloTiles)
        if (t.choice().kernel == c.kernel && t.choice().tile == c.tile)
            return t.measured && pass == Pass::forward && s.w.r > 1 && std::min(s.x.c, s.w.k) <= kManyChannels;
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
    thread_local Answers answers;
    return remembered(answers, s, pass, extras, least_of_wider);
}

}  // namespace fp
