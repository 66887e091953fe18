// The figures of one or two models under thousands of resamples, permutations and swaps. Every one is a
// weighting or regrouping of the same cases, scored by the same Scorer; the result does not depend on threads.
//
// Two models are one Scorer over both models' cases, one after the other: case i of model m is m * cases + i,
// its group g becomes m * groups + g, so each resample is the same for both and one pass scores both.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/fairness/cohort.h"
#include "engine/fairness/gaps.h"
#include "engine/fairness/metrics.h"
#include "engine/fairness/resample.h"

namespace fp {

// Rows of figures, each Layout{models * groups, classes}.
struct FigureRows {
    Layout layout;
    int seen = 0;
    int64_t count = 0;
    std::vector<double> values;

    const double* row(int64_t r) const { return values.data() + r * layout.width(); }
    GroupFigures figures(int64_t r) const { return {layout, seen, row(r)}; }
    std::vector<double> column(int index) const;
};

// How often, from which seed and on how many threads (0: all cores).
struct Plan {
    int64_t count = 0;
    uint64_t seed = 0;
    int threads = 0;
};

// The cases as they are: one row.
FigureRows observed(const Scorer& scorer, const Cohort& cohort);

// Units drawn with replacement within each group of units. A cohort whose cases are all in one group, but whose
// units keep theirs, gives overall figures of the same resamples.
FigureRows bootstrap(const Scorer& scorer, const Cohort& cohort, const Plan& plan, Parts parts = Parts::all);

// The group labels of the compared units permuted, within diagnosis or over all; one model. Cases whose own
// group is not compared stay out.
FigureRows permute_groups(const Scorer& scorer, const Cohort& cohort, Null null, const Plan& plan);

// The predictions of the two models exchanged, unit by unit, with probability 1/2.
FigureRows swap_models(const Scorer& scorer, const Cohort& cohort, const Plan& plan);

}  // namespace fp
