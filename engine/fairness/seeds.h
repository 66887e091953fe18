// What several runs that differ in their seed say together.
#pragma once

#include <vector>

namespace fp {

// low .. high: mean +- t_{0.975, n-1} sd / sqrt n;  p: of a mean of 0, two-sided, by Student's t. sd, low, high and p are
// NaN with fewer than two values, p also where they are all the same. Values that are NaN are left out.
struct SeedSummary {
    int n = 0;
    double mean, sd, low, high, p;
};
SeedSummary summarize_seeds(const std::vector<double>& values);

// The same of a[i] - b[i]: runs of one seed are pairs. Sizes must agree.
SeedSummary paired_difference(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace fp
