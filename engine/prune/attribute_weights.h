// Weights of several attributes, learned while pruning from how unequal the losses of each one's groups are, after
// Wei and Chakraborti (https://arxiv.org/abs/2509.22712 ):
//
//   w_a <- w_a exp(eta V_a), scaled so that their sum stays      V_a = variance over groups of the mean loss of a
//                                                                group / (mean over groups)^2
#pragma once

#include <map>
#include <string>

#include "engine/fairness/predictions.h"

namespace fp {

// V_a on these predictions (validation); groups without samples are left out, 0 with fewer than two.
double loss_disparity(const Predictions&, const std::string& attribute);

std::map<std::string, double> learned_weights(const std::map<std::string, double>& weights,
                                              const Predictions& validation,
                                              double eta);

}  // namespace fp
