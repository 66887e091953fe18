// Rates in cells of few units (such as lesions), where resampling sees too little: a cell whose three lesions are all
// recognised has no resample that differs. Wilson's score interval on the units, with a design effect for units of
// several images.
//
//   rate       p = hits / cases
//   variance   v = m / (m - 1) sum_u (hits_u - p cases_u)^2 / cases^2      m units u
//   effective  e = p (1 - p) / v cases' worth of information, between cases^2 / sum_u cases_u^2, which holds where the
//              images of a unit all agree, and cases; the former where v or p (1 - p) is 0 or m is 1
//   interval   (p + z^2/2e +- z sqrt(p (1 - p)/e + z^2/4e^2)) / (1 + z^2/e)
#pragma once

#include "engine/fairness/bootstrap.h"

namespace fp {

struct Cell {
    int units = 0;
    double cases = 0, hits = 0, effective = 0;

    double rate() const { return ratio(hits, cases); }
    // Fewer than 20 units, or fewer than 5 effective cases of the rarer outcome: the bootstrap does not cover.
    bool small() const;
    Interval interval(double confidence) const;  // Wilson's; NaN without cases
};

// The cells behind the accuracy of a group, and behind TPR, FPR and the share selected of each class in it.
struct GroupCells {
    Cell accuracy;
    std::vector<Cell> tpr, fpr, selected;
};
std::vector<GroupCells> cells_of(const Predictions&, const Cohort&);

// The interval of `measure`, whose value is the rate of the cell: Wilson's where the cell is small, else as it is.
void set_rate_interval(Measure& measure, const Cell& cell, double confidence);

}  // namespace fp
