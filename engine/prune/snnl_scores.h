// Soft nearest neighbour scores of channels against groups of samples, normalised by what a channel without
// any information scores (kernels/shapes.h has the definitions).
//
//   chance  = - sum_{g : n_g >= 2} (n_g / M) log((n_g - 1) / (N - 1)),   M = sum of those n_g
//   score~  = score / chance        1: the neighbours say nothing of the group; 0: they tell it
#pragma once

#include <string>
#include <vector>

#include "engine/prune/features.h"

namespace fp {

struct SnnlOptions {
    SnnlShape::Definition definition = SnnlShape::Definition::exact;
    SnnlShape::Distance distance = SnnlShape::Distance::cosine;
    double temperature = 1;
    bool centred = false;
    bool given_class = false;  // pairs of one class only
    int block =
        0;  // samples a block, scores averaged over blocks in order, the tail dropped; 0: all at once
};

// One attribute's labels of the calibration samples, -1 = unknown.
struct LabelSet {
    std::string name;
    std::vector<int32_t> of;
};

struct LayerScores {
    std::string layer, tap, attribute, definition, distance;
    double temperature = 1;
    int64_t samples = 0;  // known ones
    double chance = 0;
    std::vector<double> score, normalized;  // NaN: not estimable
    std::string reason;                     // why
    int64_t blocks = 1;
};

// Of labels >= 0; strata, where given, restrict pairs, and the sums run within each. NaN where no anchor is left.
double chance(const std::vector<int32_t>& labels, const std::vector<int32_t>& strata = {});

// One result a label set. `classes` (by sample) are the strata when `given_class`.
std::vector<LayerScores> score_layer(const Kernels&,
                                     Features&,
                                     const std::vector<LabelSet>&,
                                     const std::vector<int32_t>& classes,
                                     const SnnlOptions&,
                                     Tap tap);

}  // namespace fp
