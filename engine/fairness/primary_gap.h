// The one gap of an attribute that verdicts rest on: equalized odds as a root mean square, without the part that noise
// adds, over all classes and all pairs of compared groups.
//
//   rms^2 = 1/2 (T + F),   T = sum_e w_e (g_e^2 - v_e) / sum_e w_e   over pairs (a, b) of groups and classes c
//
//   g_e   TPR_a - TPR_b of class c (T), FPR_a - FPR_b (F)
//   v_e   its variance over resamples of units
//   w_e   n_a n_b / (n_a + n_b), n the units in the rates' denominators: with class c (T), without it (F). So a gap
//         counts by how well it is known, by numbers that no model and no gap moves, the same for any two models
//
// A gap takes part where each n is at least kFewestUnits. rms^2 is nearly unbiased, so it may be negative.
//
// Its variance, with the noise of resampling itself removed: with deviations d of a resample from what was seen,
//
//   4 Var(sum w g d) - Var(sum w d^2), at least Var(sum w d^2), the variance where there is no gap
//
// which holds the covariances between classes, groups and two models. For gaps g_e of covariances c that is
// sum w w (4 g g c - 2 c c): the 4 g g c + 2 c c of normal gaps, less 4 c c by which g g is too large on average.
//
// Of one model the interval holds the squares t with (rms^2 - t)^2 <= z^2 Var(t), Var(t) = a t + Var(sum w d^2) and
// a = 4 Var(sum w g d) / sum w g^2.
#pragma once

#include "engine/fairness/compare.h"
#include "engine/fairness/gap_report.h"

namespace fp {

inline const char* const kPrimaryFormula =
    "rms^2 = 1/2 sum over TPR, FPR of sum w (g^2 - v) / sum w, all classes and pairs, w = n_a n_b / (n_a + n_b)";

// The interval above; fair_high and p from the groups permuted within diagnosis. p_holm and the
// verdict are left to set_verdicts.
PrimaryGap primary_gap(const Cohort&, const Scored&, const FigureRows& permuted);

// D = rms^2 of the first model - rms^2 of the second, on the same units: D +- z sd, p of D = 0 from the normal
// distribution. This is a test of equal gaps; a swap of the models' predictions tests that they are exchangeable, which
// two fair models of different accuracy are not (DiCiccio et al., arXiv 2007.05124).
PrimaryDifference primary_difference(const Cohort&, const Scored& both);

// rms^2 of one model alone: any statistic of trainings or of a choice. NaN where it is not estimable.
double primary_rms_squared(const Cohort&, const Scored&, int model = 0);
// rms^2 with the resamples behind its variance, for figures of several trainings (trainings.h).
Resampled primary_resampled(const Cohort&, const Scored&);
// rms^2 of an attribute, from options.resamples; NaN where it is not estimable. For the choice of an epoch, round
// or threshold: it can be negative, so compare it itself and not its root.
double primary_rms_squared(const Predictions&, const std::string& attribute, const EvaluateOptions&);

// Holm's correction over the attributes of a report or a comparison, and the verdicts that follow.
void set_verdicts(const std::vector<PrimaryGap*>&, const EvaluateOptions&);
void set_verdicts(const std::vector<PrimaryDifference*>&, const EvaluateOptions&);

}  // namespace fp
