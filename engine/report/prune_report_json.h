// The JSON of a pruning run's report and of a search.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "engine/report/prune_report.h"

namespace fp {

// {"title","command","data","settings","tuning","classes","models":{"dense","pruned"},"best_round","rounds","layers",
//  "speed","curves","scores","environment","test":{"dense","pruned","comparison"},"verdict","sweep"}; "test" and its
// parts as engine/report/evaluation_json.h has them, "curves" the rows of metrics.jsonl. Where images were
// skipped, "skipped":{"images","first"}.
nlohmann::ordered_json report_json(const PruneReport&, const Caller&);

// {"rule","objective","attribute","gap","selected","dense":{"val","test"},"points":[{"name","criterion","amount",
//  "control","val":{...},"latency","latency_low","latency_high","runs":[...],"test":{...},"dominated",
//  "against":{CONTROL:{"gap","balanced_accuracy"}}}],"rankings":{"names","tau"}}; figures of several seeds are
// {"mean","sd","low","high","p","n"} (engine/fairness/seeds.h), a gap against a control's has "p_holm" too.
nlohmann::ordered_json to_json(const SweepResult&);
nlohmann::ordered_json to_json(const RankTable&);

}  // namespace fp
