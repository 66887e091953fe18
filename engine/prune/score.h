// Scores of channels, from a network and calibration images or from a file.
#pragma once

#include "engine/prune/criteria/criteria.h"
#include "engine/prune/scores_file.h"

namespace fp {

// Training samples for scoring: all if `count` covers them, else drawn without replacement in the groups'
// proportions (of the placebo's groups where one is given), keyed by the seed; in the order of the data set either way.
std::vector<int64_t> calibration_samples(const ImageData&,
                                         const std::vector<std::string>& attributes,
                                         int64_t count,
                                         uint64_t seed,
                                         const std::optional<uint64_t>& placebo = {});

// Exit::usage for a criterion that cannot use these attributes; to be called before anything is run.
void check_scoring(const ScoreOptions&);

ChannelScores score_channels(
    Session&, const Preprocessing&, const ImageData&, const std::vector<Node>& rows, const ScoreOptions&);
// The same from a file, without a forward pass. Exit::usage where its criterion is not the one asked for, Exit::model
// where it was made with other settings that decide scores, Exit::data where it has other channels.
ChannelScores scores_from(const ScoresFile&, const std::vector<Node>& rows, const ScoreOptions&);

}  // namespace fp
