// The result of a scoring pass, and how its order of channels differs from that of other scores.
#pragma once

#include <optional>

#include "engine/prune/ranks.h"

namespace fp {

// The order of a file's scores beside ours, by layer.
struct ScoresComparison {
    std::string file;
    std::vector<RankAgreement> layers;
};

struct ScoresReport {
    std::string file;
    const ScoresFile& scores;
    std::optional<ScoresComparison> compared = {};
};

// Lowest and median normalised score of a layer; NaN where none is known.
double lowest(const LayerScores&);
double median(const LayerScores&);
// The null's standard deviation over what scores are divided by, median over channels.
double standard_error(const LayerScores&);
// Channels with z < -3, of which the null has 1 in 700.
int64_t below_noise(const LayerScores&);

std::string to_text(const ScoresReport&);  // within 80 columns

// {"scores":FILE,"criterion","layers":[{"layer","attribute","definition","channels","samples","chance","lowest",
//  "median","standard_error","below_noise","seconds"}],
//  "compared":{"with":FILE,"layers":[{"layer","attribute","channels","tau","lowest","common","common_if_unrelated"}]}}.
std::string json_text(const ScoresReport&);

}  // namespace fp
