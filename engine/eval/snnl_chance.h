// The soft nearest neighbour score of a channel that carries no information about the groups:
//
//   chance  = - sum_{g : n_g >= 2} (n_g / M) log((n_g - 1) / (N - 1)),   M = sum of those n_g
#pragma once

#include <cstdint>
#include <vector>

namespace fp {

// Labels below 0 do not count. With strata, pairs and sums are within one stratum. NaN where no anchor is left.
double chance(const std::vector<int32_t>& labels, const std::vector<int32_t>& strata = {});

}  // namespace fp
