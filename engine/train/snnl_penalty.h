// The soft nearest neighbour loss as a training-time penalty, with its gradient through the network:
//
//   penalty = weight  mean over layers and channels of  sum_a w_a (1 - S_a / chance_a),    w_a summing to 1
//
// S_a is the exact score of the channel's map against attribute a in the batch (kernels/shapes.h), chance_a the score
// of a channel without information about it (snnl_chance.h). The penalty is 0 for such channels and near `weight` where
// neighbours share their group. An attribute that cannot be estimated in a batch adds nothing.
#pragma once

#include <functional>
#include <map>

#include "engine/data/loader.h"
#include "engine/eval/features.h"

namespace fp {

struct SnnlPenaltyOptions {
    double weight = 0;            // 0: no penalty
    std::string layers = "last";  // as --layers names them
    Tap tap = Tap::activation;
    double temperature = 1;
    bool given_class = false;  // pairs of one class only
};

// One attribute of every sample of the data set, -1 = unknown, and its weight.
struct PenaltyAttribute {
    std::string name;
    std::vector<int32_t> of;
    double weight = 1;
};

// A term of the loss: `add` returns its value for a batch and appends its gradients for Tape::backward. It needs `rows`
// on the step's tape.
struct Penalty {
    std::function<double(Tape&, const Batch&, std::vector<Tape::Seed>&)> add = {};
    Rows rows = Rows::fewest;

    explicit operator bool() const { return bool(add); }
};

// By layer: what multiplies each channel's term, and the last batch's d penalty / d multiplier.
struct ChannelWeights {
    std::map<std::string, std::vector<double>> of, slope;
};

// Exit::usage for layers that are not there or no attribute of positive weight. Without `weights`, which are to outlive
// the penalty and to have every layer of it, all are 1.
Penalty snnl_penalty(const SnnlPenaltyOptions&,
                     const std::vector<PenaltyAttribute>&,
                     ChannelWeights* weights = nullptr);

}  // namespace fp
