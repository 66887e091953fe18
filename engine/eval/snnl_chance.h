// The soft nearest neighbour score of a channel that carries no information of the groups:
//
//   chance  = - sum_{g : n_g >= 2} (n_g / M) log((n_g - 1) / (N - 1)),   M = sum of those n_g
#pragma once

#include <cstdint>
#include <vector>

namespace fp {

// Of labels >= 0; strata, where given, restrict pairs, and the sums run within each. NaN where no anchor is left.
double chance(const std::vector<int32_t>& labels, const std::vector<int32_t>& strata = {});

}  // namespace fp
