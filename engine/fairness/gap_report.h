// The descriptive gaps of one attribute, with fair range, p value, interval, rms and a description.
#pragma once

#include "engine/fairness/bootstrap.h"

namespace fp {

inline const char* const kNoSignedGaps = "a ratio has no signed gaps";

// The figures of one cohort: of the cases as they are, and of each resample.
struct Scored {
    FigureRows seen, resampled;
    double confidence;

    // The figure in one column of the rows, with its percentile interval.
    Measure measure(std::string key, std::string formula, int column) const;
};
Scored score_cohort(const Scorer&, const Cohort&, const EvaluateOptions&, MetricSet metrics = MetricSet::all);

// The size of a gap without the part that noise adds: rms^2 = mean_c (g_c^2 - v_c), g_c the signed gaps behind an
// absolute one and v_c their bootstrap variances (MeanSquare).
//
// The mean runs over classes whose noise is known: at least kFewestUnits units (lesions) in the denominator of each rate
// in both groups, that is two with the class for TPR, two without it for FPR. With more than two groups: the mean of
// that over all pairs, since the worst pair is chosen by its noise too (Lum et al., arXiv 2205.05770).
inline constexpr int kFewestUnits = 2;
struct RmsGap {
    MeanSquare square = {};  // NaN where there is a reason
    int classes = 0;         // in the mean; 0 for a difference of two figures, which is one gap
    std::string reason = {};
};
RmsGap rms_gap(const GapDefinition&, const Cohort&, const Scored&, int model = 0);

// The root of a square whose estimate may lie below 0, which gives 0; NaN of NaN.
double root(double square);

// Of a cohort with at least two groups to compare, whose groups were permuted (permute_groups).
std::vector<Gap> gaps_of(const Scorer&, const Cohort&, const Scored&, const FigureRows& permuted);

}  // namespace fp
