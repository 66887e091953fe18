// The JSON of training: rows of metrics.jsonl and the position in a checkpoint.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "engine/train/fit.h"

namespace fp {

// {"samples","loss",METRIC...,"attributes":{NAME:{"groups":{GROUP:{"samples",METRIC...}},"gaps":{GAP}}}}; not
// estimable is null.
nlohmann::ordered_json to_json(const Summary&);

// A row of metrics.jsonl without its "step", and the times that end it.
nlohmann::ordered_json epoch_row(const EpochResult&);
nlohmann::ordered_json epoch_times(const EpochResult&);

nlohmann::ordered_json to_json(const FitPosition&);
FitPosition fit_position_from(const nlohmann::ordered_json&);
std::string to_text(const FitPosition&);
FitPosition parse_fit_position(const std::string&);

}  // namespace fp
