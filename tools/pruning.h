// The options of scoring and removal, and how fp_prune turns them into the engine's.
#pragma once

#include "engine/measure/layer_costs.h"
#include "engine/prune/choose.h"
#include "engine/prune/score.h"
#include "engine/run/checkpoint.h"
#include "tools/attributes.h"
#include "tools/common.h"

namespace fp {

struct PruningOptions {
    std::string criterion = "snnl", layers = "last", amount = "5", finetune = "all", objective;
    SnnlOptions snnl;
    Tap tap = Tap::convolution;
    int64_t samples = 4096;
    FairPruneOptions fairprune;
    double protect = 0, max_drop = 0.05, learn_weights = 0;
    bool mask = false;  // as the released code: nothing is cut
    int batches = 0, min_channels = 1, round_to = 1, iterations = 1, patience = 0, recalibrate = 0;
};
// `criterion` "none" removes nothing: a control that is fine-tuned alike.
inline const char* const kNoCriterion = "none";

void add_pruning_options(Options&, PruningOptions&);
nlohmann::ordered_json to_json(const PruningOptions&, const std::vector<std::string>& attributes);

ScoreOptions score_options(const PruningOptions&,
                           const std::vector<std::string>& attributes,
                           uint64_t seed,
                           int batch_size,
                           int workers);
// "snnl+as-released+given-class": a criterion and settings of its own, joined by +: exact, as-released, given-class,
// centre, euclidean, mask, tap=NAME, layers=NAME, protect=LAMBDA, temperature=T, samples=N, learn=ETA (of
// --learn-weights). Exit::usage for another word.
PruningOptions with_criterion(PruningOptions, const std::string&);

ChooseOptions choose_options(const PruningOptions&);

// Shares of the dense model's multiply-adds, parameters, or time (measured in turns with it).
Cost cost_of(const LoadedModel& dense, const Kernels&, int batch_size);

// `what`: all, head or norm. Exit::usage for another word.
void choose_trainable(Network&, const std::string& what);

// The largest difference of a logit between the cut network and the old one with the same channels
// silenced, over the largest logit, on a batch of training images.
double difference_from_silenced(const Network& old,
                                const Network& cut,
                                const std::vector<ChannelSet>&,
                                const Removal&,
                                const ImageData&,
                                const Preprocessing&);

// One line: who produces the channels, who reads them.
std::string describe(const ChannelSet&);

}  // namespace fp
