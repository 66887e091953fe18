// Which layers to leave alone: a share of one set of tied channels at a time removed by its scores, nothing tuned,
// judged on validation beside the dense model.
#pragma once

#include <functional>

#include "tools/prune_run.h"

namespace fp {

// "10%,25%,50%": shares of a set's channels. Exit::usage for anything else.
std::vector<Amount> parse_shares(const std::string&);

// {"criterion","attribute","gap","split":"val","dense":{"balanced_accuracy","gap"},"shares":["10%",...],
//  "sets":[{"set","channels","points":[{"share","removed","parameters","macs","balanced_accuracy":D,"gap":D}]}]},
//  D = {"value","change","p","p_holm"}: p of the swap test (engine/fairness/compare.h), Holm's correction over all
// points of the scan. A point that cannot be made has a "reason" and no figures. A point is what fp_prune makes of
// --layers SET --amount SHARE --finetune-epochs 0.
// Null where a signal stopped it.
//   finished   the "sets" of an earlier scan
//   save       is given all of them after each set
nlohmann::ordered_json scan(const PruneContext&,
                            const PruningOptions&,
                            const SetScores&,
                            const std::vector<Amount>& shares,
                            const nlohmann::ordered_json& finished,
                            const std::function<void(const nlohmann::ordered_json&)>& save);
std::string scan_text(const nlohmann::ordered_json&);  // within 80 columns
std::string scan_csv(const nlohmann::ordered_json&);

}  // namespace fp
