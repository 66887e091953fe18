// What fp_prune --scores-only says of its scores, and of how their order differs from that of other scores.
#pragma once

#include <optional>

#include "engine/prune/ranks.h"

namespace fp {

// The order of a file's scores beside ours, by layer.
struct ScoresComparison {
    std::string file;
    std::vector<RankAgreement> layers;
};

// {"scores":FILE,"criterion","layers":[{"layer","attribute","definition","channels","samples","chance","lowest","median",
//  "standard_error","below_noise","seconds"}],
//  "compared":{"with":FILE,"layers":[{"layer","attribute","channels","tau","lowest","common","common_if_unrelated"}]}}.
// lowest and median: of score~. standard_error: the null's sd over what score~ is divided by, the median over
// channels. below_noise: channels with z < -3, of which the null has 1 in 700.
nlohmann::ordered_json scores_report(const ScoresFile&,
                                     const std::string& file,
                                     const std::optional<ScoresComparison>&);
std::string scores_text(const nlohmann::ordered_json& report);  // within 80 columns

}  // namespace fp
