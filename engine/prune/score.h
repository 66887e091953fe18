// From a trained network and a calibration set to the order in which channels go.
#pragma once

#include "engine/prune/criteria.h"
#include "engine/prune/features.h"
#include "engine/prune/scores_file.h"

namespace fp {

struct ScoreOptions {
    std::string criterion = "snnl";                 // snnl, random, l1, l2, bn
    std::map<std::string, double> attributes = {};  // snnl: specification -> weight
    SnnlOptions snnl = {};
    Tap tap = Tap::convolution;
    std::string layers = "last";  // last, all, or a glob over layer names (* and ?)
    int64_t samples = 4096;       // calibration images, from the training split; 0: all of them
    double protect = 0;           // lambda: keep what tells the class
    uint64_t seed = 1;
    size_t budget_bytes = size_t(2) << 30;
    PredictOptions predict = {};
};

// The layers that a pattern names, among those whose channels can go: `last` is the last convolution, `all`
// every convolution. Exit::usage where it names none.
std::vector<std::string> match_layers(const std::vector<Node>& rows,
                                      const std::vector<ChannelSet>&,
                                      const std::string& pattern);

// Training samples for scoring: all if `count` covers them, else drawn without replacement in the groups'
// proportions, keyed by the seed; in the order of the data set either way.
std::vector<int64_t> calibration_samples(const ImageData&,
                                         const std::vector<std::string>& attributes,
                                         int64_t count,
                                         uint64_t seed);

struct ChannelScores {
    std::vector<LayerScores> layers;  // snnl alone
    SetScores sets;                   // lowest first to go
};
ChannelScores score_channels(Session&,
                             const Preprocessing&,
                             const ImageData&,
                             const std::vector<Node>& rows,
                             const ScoreOptions&);
// The same from a file's layers, without a forward pass.
SetScores order_from(const std::vector<ChannelSet>&,
                     const std::vector<LayerScores>&,
                     const ScoreOptions&);

nlohmann::ordered_json scores_json(const ChannelScores&,
                                   const ScoreOptions&,
                                   const std::string& model_hash);

}  // namespace fp
