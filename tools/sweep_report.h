// What a search found: accuracy, gaps and measured time of every point, beside its controls.
#pragma once

#include "engine/measure/stopwatch.h"
#include "tools/rankings.h"
#include "tools/sweep.h"

namespace fp {

struct SweepRun {
    uint64_t seed;
    PruneOutcome outcome;
    std::optional<Predictions> test = {};
};
struct SweepResult {
    SweepPoint point;
    std::vector<SweepRun> runs;
    Ratio latency{1, 1, 1};  // of the first seed's network: measured time over the dense model's
};

// {"rule","objective","selected","attribute","seeds","dense":{...},"points":[{"name","criterion","amount","control","runs":[...],
//  "val":{...},"test":{...},"latency","latency_low","latency_high","dominated","against":{...}}],"rankings":{...}}; figures of several seeds are {"mean","sd","low","high","p","n"}
// (engine/fairness/seeds.h), and a gap against a control's has "p_holm", corrected for all of them.
nlohmann::ordered_json sweep_json(const std::vector<SweepResult>&,
                                  const PruneContext&,
                                  const std::optional<Predictions>& dense_test,
                                  const std::string& objective,
                                  double max_drop,
                                  int selected,
                                  const std::vector<Ranking>&);
std::string sweep_text(const nlohmann::ordered_json& sweep);  // within 80 columns
std::string sweep_csv(const nlohmann::ordered_json& sweep);

}  // namespace fp
