// From a trained network and a calibration set to the order in which channels go.
#pragma once

#include "engine/eval/features.h"
#include "engine/prune/criteria/criteria.h"
#include "engine/prune/scores_file.h"

namespace fp {

struct ScoreOptions {
    std::string criterion = "snnl";                 // of criterion_names()
    std::map<std::string, double> attributes = {};  // specification -> weight
    SnnlOptions snnl = {};
    Tap tap = Tap::convolution;
    std::string layers = "last";  // last, all, or a glob over layer names (* and ?)
    int64_t samples = 4096;       // calibration images, from the training split; 0: all of them
    double protect = 0;           // lambda: keep what tells the class
    double beta = 0.33;           // fairprune: how much the other groups' loss counts
    std::string protected_group = {};  // fairprune; empty: the one of the highest loss
    uint64_t seed = 1;
    size_t budget_bytes = size_t(2) << 30;
    PredictOptions predict = {};
};

// Training samples for scoring: all if `count` covers them, else drawn without replacement in the groups'
// proportions, keyed by the seed; in the order of the data set either way.
std::vector<int64_t> calibration_samples(const ImageData&,
                                         const std::vector<std::string>& attributes,
                                         int64_t count,
                                         uint64_t seed);

// Exit::usage for a criterion that is unknown or cannot use these attributes; asked before anything is run.
void check_scoring(const ScoreOptions&);

struct ChannelScores {
    std::string criterion;
    std::vector<LayerScores> layers;  // snnl alone
    SetScores sets;                   // lowest first to go
    std::string note;                 // what was chosen on the way, in words
};
ChannelScores score_channels(Session&,
                             const Preprocessing&,
                             const ImageData&,
                             const std::vector<Node>& rows,
                             const ScoreOptions&);
// The same from a file, without a forward pass. Exit::usage where its criterion is not the one asked for,
// Exit::data where it lacks a set or has other channels.
ChannelScores scores_from(const ScoresFile&, const std::vector<Node>& rows, const ScoreOptions&);

nlohmann::ordered_json scores_json(const ChannelScores&,
                                   const ScoreOptions&,
                                   const std::string& model_hash);

}  // namespace fp
