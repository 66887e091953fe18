// Learned masks: a gate per channel, trained on frozen weights, in the manner of BISE (https://arxiv.org/abs/2603.05582;
// its code is not published, so that the terms, the optimiser and the start are ours).
//
//   gates       m_c = 1 / (1 + exp(-a_c)) for every channel of the sets that --layers names. A gate multiplies what
//               silence() sets to 0: scale and shift of every norm of the set (without a norm: filter and bias). The
//               network at m = 1 is the frozen one, at m = 0 the one that cut() returns without the channel.
//   objective   E + weight * P + sparsity * sum_c cost_c m_c / sum_c cost_c
//     E         cross-entropy of the batch, in evaluation mode; the sampler can balance classes and groups
//     P         the SNNL penalty (engine/train/snnl_penalty.h) on the gated activations of the layers, with each
//               channel's term times its gate: cosine distances do not see a channel's own scale
//     cost_c    1, or the multiply-adds that the channel's removal saves
//   gradient    d / d m_c = sum over the gated parameters of (d / d theta'_c) theta_c, theta' = m theta
//   steps       Adam on a, from a = 5 (m = 0.993), on shuffled and augmented calibration images
//
// The channels with the lowest gates are removed; gates compare across sets as they are.
#pragma once

#include <memory>

#include "engine/core/loss.h"
#include "engine/prune/criteria/criteria.h"
#include "engine/train/snnl_penalty.h"

namespace fp {

// A copy of a network whose channels have gates. Filters and everything else that no gate scales are frozen in it.
class GatedNetwork {
public:
    // Gates for all channels of these sets, each 1.
    GatedNetwork(const Network&, const std::vector<ChannelSet>&);

    const Network& network() const { return *network_; }
    void set(const SetScores& gates);
    // d loss / d gate, from the gradients that the last backward has left in the network's store.
    SetScores gradient() const;

private:
    struct Gated {
        const Param* param;
        std::string set;
        std::vector<double> frozen;  // theta
        int64_t row() const { return param->count() / param->shape.k; }
    };
    std::unique_ptr<Network> network_;
    SetScores gates_;
    std::vector<Gated> gated_;
};

// The objective on a batch, and its slope along each gate.
struct GateStep {
    double entropy = 0, penalty = 0, kept = 0;  // kept: the share of the cost
    SetScores slope = {};
};

class GateObjective {
public:
    // Gates of the sets that make the channels of Scoring::layers.
    explicit GateObjective(const Scoring&);
    GateObjective(const GateObjective&) = delete;
    GateObjective& operator=(const GateObjective&) = delete;

    const std::vector<ChannelSet>& sets() const { return sets_; }
    // The batch has at least one label.
    GateStep at(const SetScores& gates, const Batch&, DeviceInput&);
    double value(const GateStep& s) const { return s.entropy + s.penalty + options_.sparsity * s.kept; }

private:
    const MaskOptions& options_;
    const std::vector<ChannelSet> sets_;
    GatedNetwork gated_;
    Session session_;
    CrossEntropy entropy_;
    std::map<std::string, double> cost_;  // of a channel of a set, so that all channels together cost 1
    std::map<std::string, std::string> set_of_layer_;
    ChannelWeights weights_;
    Penalty penalty_;
};

// The gates after training; `note` has the last epoch's objective and how many gates lie in each tenth of [0, 1].
// Exit::diverged where the objective is not finite. Every rank trains all of them, since a step waits for the one before.
SetScores learned_gates(const Scoring&, std::string& note);

}  // namespace fp
