#include "kernels/cuda/plan/conv_plan.h"
#include "kernels/cuda/plan/cost.h"

namespace fp {

ConvChoice in_parts(const ConvShape& s, ConvChoice choice) {
    const int64_t steps = int64_t(s.w.r) * s.w.s * ceil_div(s.x.stored_c(), 64);
    choice.parts = 1;
    if (const int forced = conv_forced().parts; forced > 0) {
        choice.parts = int(std::min<int64_t>({forced, kMostParts, steps}));
        return choice;
    }
    ConvChoice best = choice;
    double least = seconds(s, Pass::forward, choice);
    // Clusters of these sizes fill the groups of multiprocessors.
    for (choice.parts = 2; choice.parts <= std::min<int64_t>(kPlannedParts, steps); choice.parts *= 2) {
        const double now = seconds(s, Pass::forward, choice);
        if (now >= least) continue;
        least = now;
        best = choice;
    }
    return best;
}

}  // namespace fp
