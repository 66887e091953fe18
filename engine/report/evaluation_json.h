// JSON of an evaluation.
//
// M = {"value","low","high"} and G = M plus "fair_low","fair_high","p","p_holm","rms","rms_low","rms_high"; what
// cannot be estimated is null with "reason" (of the value or its interval) or "rms_reason" beside it.
//
//   {"samples":N,"units":N,"unit":"lesion_id","classes":[...],"accuracy":M,...,"confusion":[[...]],"per_class":{...},
//    "attributes":{"sex":{"groups":{"female":{"samples":n,"accuracy":M,...}},"gaps":{"eodd":G,...},
//                         "worst_group":{"accuracy":{"group":"male","samples":n,"value":...}}}},
//    "resamples":R,"seed":S,"confidence":0.95}
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "engine/report/evaluation.h"

namespace fp {

nlohmann::ordered_json to_json(const Report&);
nlohmann::ordered_json to_json(const Comparison&);
nlohmann::ordered_json to_json(const Evaluation&);  // a report with "comparison"

// The document of fp_eval: an evaluation with "threshold".
std::string json_text(const Evaluation&, const std::optional<AtThreshold>&);

}  // namespace fp
