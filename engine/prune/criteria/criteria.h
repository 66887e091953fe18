// In which order channels go. Every criterion gives one number a channel of a set; the lowest go first.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/core/channel_sets.h"
#include "engine/core/network.h"
#include "engine/prune/criteria/snnl_scores.h"

namespace fp {

// By set name. Comparable across sets: score~ for SNNL, else the value over the mean magnitude of the set's.
using SetScores = std::map<std::string, std::vector<double>>;

// The names that --criterion takes, as a list in words.
const std::vector<std::string>& criterion_names();
bool needs_groups(const std::string& criterion);  // snnl, fairprune, fairgrape

// From the weights alone:
//   random  uniform, keyed by (seed, set, channel)
//   l1, l2  sum |W_c|, sqrt(sum W_c^2)       https://arxiv.org/abs/1608.08710
//   bn      |gamma_c|                        https://arxiv.org/abs/1708.06519 ; Exit::data without norms
//   fpgm    sum_j |W_c - W_j|_2              https://arxiv.org/abs/1811.00250 : the most replaceable goes
// W_c: the channel's filter in one layer; summed over the set's producers. Not divided by anything.
bool is_weight_criterion(const std::string& criterion);
SetScores weight_values(const std::string& criterion,
                        const Network&,
                        const std::vector<ChannelSet>&,
                        uint64_t seed);

// Divided by the set's mean |value|, so that sets can compete.
SetScores over_mean(SetScores values);

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
