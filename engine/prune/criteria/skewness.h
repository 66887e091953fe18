// Skewness (ours: aggregation and direction; the idea is https://arxiv.org/abs/2509.00745 ): the mean over samples
// of |m3 / m2^1.5| of a channel's map, m_k its central moments over the map's pixels. 0 for a constant map.
#pragma once

#include "engine/eval/features.h"

namespace fp {

// One value per channel. Exit::data for maps of fewer than three pixels, which have none.
std::vector<double> skewness(const Kernels&, const Features&);

}  // namespace fp
