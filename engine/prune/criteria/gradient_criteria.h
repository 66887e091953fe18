// Criteria from gradients on calibration data, of several ranks each on its part of the batches. In all of them g is d loss / d theta in evaluation mode, E the
// mean over batches, and a channel's theta are the rows of its set's filters, biases and norms.
//
//   taylor     sum over producers of E[(g_gamma gamma + g_beta beta)^2], the squared change of the loss when the
//              channel's norm is scaled away; a set without norms takes E[(sum g W + g_b b)^2] of its filters
//              and biases.                                      https://arxiv.org/abs/1906.10771
//   fairprune  sum over theta of 1/2 theta^2 (h_protected - beta h_other), h = mean_i g_i^2, the mean squared
//              gradient of a sample of the group (the diagonal of the empirical Fisher matrix, estimated with
//              random signs: SampleSigns). `other` is the mean over all other groups. What is lowest helps the
//              others more than the protected group.            https://arxiv.org/abs/2203.02110
//   fairgrape  I_g = sum over theta of E[(g_g theta)^2] of the group's batches; then channels are kept one by one:
//              next the best one for the group that is furthest below its share. https://arxiv.org/abs/2207.10888
#pragma once

#include "engine/prune/criteria/criteria.h"

namespace fp {

// The parameters of a set's producers by gate: those of one inner list are scaled away together (gamma and beta of a
// norm; where the set has no norm, the filter and bias of a layer).
std::vector<std::vector<const Param*>> gates(const Network&, const ChannelSet&);

// alike: d mean loss / d theta of the batch.
// signed_samples: each sample's loss is first multiplied by +1 or -1, keyed by (seed, sample). The square of
// that gradient times the batch's samples is an estimate of the mean squared gradient of a sample,
// mean_i g_i^2, without bias, since the signs' products have mean 0; with one sample per batch it is exact.
enum class SampleSigns { alike, signed_samples };

// What for_each_gradient went over, on all ranks: the mean loss of the samples, and how many batches had any.
struct GradientPass {
    double loss = 0;
    int64_t samples = 0, batches = 0;
};

// The loss's gradient over the samples, in evaluation mode and without an update. Runs `visit(n)` after each of this
// rank's batches of n samples, when the network's store holds the gradients of all parameters. Every parameter must be
// trainable.
GradientPass for_each_gradient(const Pass&, SampleSigns, uint64_t seed, const std::function<void(int64_t n)>& visit);

// ((b_0 + b_1) + b_2) + ... of values that each batch has of every channel, in the order of the batches, whichever ranks
// have them: every rank keeps those of its batches, sends them to each other one and adds all, so that the bits are those
// of one rank.
class BatchSum {
public:
    BatchSum(const Comm& ranks, const std::vector<ChannelSet>&);

    void add(const SetScores& of_batch);  // the next one of this rank
    SetScores sum() const;                // every rank calls this, once

private:
    const Comm& ranks_;
    SetScores sum_;             // alone
    std::vector<double> kept_;  // else: batch after batch, set after set
};

// Values by set, not yet divided by anything.
SetScores taylor_values(const Scoring&);
// `chosen`: the name of the protected group. Exit::usage for a group that is not there.
SetScores fairprune_values(const Scoring&, const Grouping&, const FairPruneOptions&, std::string& chosen);
SetScores fairgrape_values(const Scoring&, const Grouping&);

// The order in which channels are kept, given importance[group][channel] >= 0: a group's share is
// sum_c I_g / sum_g sum_c I_g, over all channels and over those kept so far; ties go to the lower index.
std::vector<int> fairgrape_order(const std::vector<std::vector<double>>& importance);

}  // namespace fp
