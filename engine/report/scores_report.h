// What a scoring pass found, and how its order of channels differs from that of other scores.
#pragma once

#include <optional>

#include "engine/prune/ranks.h"

namespace fp {

// The order of a file's scores beside ours, by layer.
struct ScoresComparison {
    std::string file;
    std::vector<RankAgreement> layers;
};

// One layer and attribute. lowest, median: of the normalised scores.
struct ScoredLayer {
    std::string layer, attribute, definition, reason;
    int64_t channels = 0, samples = 0;
    double chance = 0, lowest = 0, median = 0, seconds = 0;
    struct Noise {  // where labels were permuted
        int permutations = 0;
        double standard_error = 0;  // the null's sd over what scores are divided by, median over channels
        int64_t below = 0;          // channels with z < -3, of which the null has 1 in 700
    };
    std::optional<Noise> noise;
};

struct ScoresReport {
    std::string file, criterion;
    std::vector<ScoredLayer> layers;
    std::optional<ScoresComparison> compared;
};
ScoresReport scores_report(const ScoresFile&, const std::string& file, const std::optional<ScoresComparison>&);

std::string to_text(const ScoresReport&);  // within 80 columns

// {"scores":FILE,"criterion","layers":[{"layer","attribute","definition","channels","samples","chance","lowest","median",
//  "standard_error","below_noise","seconds"}],
//  "compared":{"with":FILE,"layers":[{"layer","attribute","channels","tau","lowest","common","common_if_unrelated"}]}}.
std::string json_text(const ScoresReport&);

}  // namespace fp
