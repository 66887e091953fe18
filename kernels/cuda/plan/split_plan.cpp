#include "kernels/cuda/plan/conv_plan.h"
#include "kernels/cuda/plan/cost.h"

namespace fp {

SplitPlan split_plan(const ConvShape& s, ConvChoice choice) {
    const int64_t steps = int64_t(s.w.r) * s.w.s * ceil_div(s.x.stored_c(), 64);
    SplitPlan plan{.tile = choice.tile};
    if (const int forced = conv_forced().parts; forced > 0) {
        plan.parts = int(std::min<int64_t>({forced, kMostParts, steps}));
        return plan;
    }
    double least = seconds_of_parts(s, choice, 1);
    for (int parts = 2; parts <= std::min<int64_t>(kPlannedParts, steps);
         parts *= 2) {  // clusters of these sizes fill the groups of multiprocessors
        const double now = seconds_of_parts(s, choice, parts);
        if (now >= least) continue;
        least = now;
        plan.parts = parts;
    }
    return plan;
}

}  // namespace fp
