// A report as JSON and as text for 80 columns.
//
// JSON: M = {"value","low","high"} and G = M plus "fair_low","fair_high","p","p_holm","rms","rms_low","rms_high";
// what cannot be estimated is null with "reason" (of the value or its interval) or "rms_reason" beside it.
//
//   {"samples":N,"units":N,"unit":"lesion_id","classes":[...],"accuracy":M,...,"confusion":[[...]],"per_class":{...},
//    "attributes":{"sex":{"groups":{"female":{"samples":n,"accuracy":M,...}},"gaps":{"eodd":G,...},
//                         "worst_group":{"accuracy":{"group":"male","samples":n,"value":...}}}},
//    "resamples":R,"seed":S,"confidence":0.95}
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "engine/fairness/compare.h"
#include "engine/fairness/evaluate.h"
#include "engine/io/json.h"

namespace fp {

nlohmann::ordered_json to_json(const Report& report);
// Sensitivity (TPR) and specificity (1 - FPR) of one class, of all samples and of each group.
std::string sensitivity_text(const Report&, int of_class);
std::string to_text(const Report& report);

nlohmann::ordered_json to_json(const Comparison& comparison);
std::string to_text(const Comparison& comparison);

}  // namespace fp
