#include <limits>

#include "kernels/cuda/plan/conv_plan.h"

namespace fp {
namespace {

// In steps: the constant time of a block (its start, the first copies), and of joining the parts of a tile.
constexpr int64_t kOfBlock = 15, kOfJoining = 8;

}  // namespace

SplitPlan split_plan(const ConvShape& s, ConvChoice choice) {
    const ConvSizes g = ConvSizes::of(s);
    SplitPlan plan{.tile = choice.tile,
                   .tiles = ceil_div(g.pixels_out(), choice.tile.m) * ceil_div(g.y_c, choice.tile.n),
                   .steps = int64_t(g.r) * g.s * ceil_div(g.c, 64)};
    const int most = int(std::min<int64_t>(kMostParts, plan.steps));
    if (const int forced = conv_forced().parts; forced > 0) {
        plan.parts = std::min(forced, most);
        return plan;
    }
    const int64_t at_once = int64_t(kProcessors) * choice.resident;
    int64_t least = std::numeric_limits<int64_t>::max();
    for (int parts = 1; parts <= most; ++parts) {
        const int64_t waves = ceil_div(plan.tiles * parts, at_once);
        const int64_t time = waves * (kOfBlock + ceil_div(plan.steps, parts) + (parts > 1 ? kOfJoining : 0));
        if (time >= least) continue;
        least = time;
        plan.parts = parts;
    }
    return plan;
}

}  // namespace fp
