// The criterion of soft nearest neighbour scores: scores of layers (snnl_scores.h) made into values of sets.
#pragma once

#include "engine/prune/criteria/criteria.h"

namespace fp {

// The mean over attributes (weighted) and over the scored layers of a set of
//   1 - s + lambda u,   s = 1 - score~ of the attribute, u = 1 - score~ of the class
// so that with lambda = 0 and one attribute it is score~ itself. `class_name` is the attribute that stands
// for the class (may be absent where lambda is 0). Sets without a scored layer are left out.
SetScores snnl_set_scores(const std::vector<ChannelSet>&,
                          const std::vector<LayerScores>&,
                          const std::map<std::string, double>& attribute_weights,
                          const std::string& class_name,
                          double lambda);

}  // namespace fp
