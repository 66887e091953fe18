// The JSON of training: rows of metrics.jsonl and the position in a checkpoint.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "engine/eval/predict.h"
#include "engine/run/run_folder.h"
#include "engine/train/settings.h"

namespace fp {

// {"samples","loss",METRIC...,"attributes":{NAME:{"groups":{GROUP:{"samples",METRIC...}},"gaps":{GAP}}}}; not
// estimable is null.
nlohmann::ordered_json to_json(const Summary&);

// The settings that a report shows.
nlohmann::ordered_json to_json(const TrainingSettings&);
// All that decide a run's bits.
nlohmann::ordered_json all_to_json(const TrainingSettings&);

// A row of metrics.jsonl without its "step", and the times that end it.
nlohmann::ordered_json epoch_row(const EpochResult&);
nlohmann::ordered_json epoch_times(const EpochResult&);

nlohmann::ordered_json to_json(const FitPosition&);
FitPosition fit_position_from(const nlohmann::ordered_json&);
void append_to(Metrics&, const EpochResult&, int64_t step);

// A model card's provenance: {"tool","data":{"name","split"}}.
std::string provenance_of(const std::string& tool, const Dataset&);

// {"out":FOLDER,"epochs":[row...]} and, where images were skipped, "skipped":{"images","first"}.
std::string train_document(const std::string& out, const Metrics&, const ImageData&);

std::string to_text(const FitPosition&);
FitPosition parse_fit_position(const std::string&);

}  // namespace fp
