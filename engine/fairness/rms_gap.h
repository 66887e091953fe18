// The size of a gap without the part that noise adds: rms^2 = mean_c (g_c^2 - v_c), g_c the signed gaps behind an
// absolute one and v_c their bootstrap variances.
//
// The mean runs over classes whose noise is known: at least two units (lesions) in the denominator of each rate in
// both groups, that is two with the class for TPR, two without it for FPR.
#pragma once

#include <string>

#include "engine/fairness/bootstrap.h"
#include "engine/fairness/intervals.h"

namespace fp {

struct RmsGap {
    MeanSquare square;  // NaN where there is a reason
    int classes = 0;    // in the mean; 0 for a metric, which has one gap
    std::string reason;
};

// For the pair (a, b) of groups of one model. `seen` is one row.
RmsGap rms_gap(const GapDefinition& gap,
               const Predictions& predictions,
               const Cohort& cohort,
               const FigureRows& seen,
               const FigureRows& resampled,
               int a,
               int b,
               int model = 0);

}  // namespace fp
