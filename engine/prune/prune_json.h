// The JSON of pruning: settings, rounds, and the state in a checkpoint.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>

#include "engine/prune/scan.h"
#include "engine/prune/state.h"

namespace fp {

nlohmann::ordered_json to_json(const PruneSettings&);

// {"round","attribute_weights","removed":{SET:[CHANNEL...]},"channels","parameters","macs","cut":S,"recalibrated":S,
//  "val":S,"objective":{"by","value"},"within_max_drop","enough_accuracy"}, S as to_json(const Summary&) has it.
nlohmann::ordered_json to_json(const Round&);
nlohmann::ordered_json to_json(const std::vector<Round>&);

std::string to_text(const PruneState&);
PruneState parse_prune_state(const std::string&);

// The settings by name and value, with those of fine-tuning.
std::vector<Setting> settings_by_name(const PruneSettings&);

// Where a model of this round comes from, as JSON.
std::string provenance(const Baseline&, const PruneSettings&, const std::string& tool, int round);

// Adds an epoch's row, which belongs to the checkpoint of this step.
void append_epoch(Metrics&, const EpochResult&, int round, int64_t step);

// scores.json.
std::string scores_file_text(const ChannelScores&, const ScoreOptions&, const std::string& model_hash);

// What a file of scores holds. Exit::data and Exit::model as read_scores has them.
ScoresFile scores_in(const std::filesystem::path&, const std::string& model_hash);

// What the first round's scores depend on, as text: runs of equal keys share them.
std::string scores_key(const PruneSettings&);

// scan.json: {"criterion","attribute","gap","split":"val","dense":{"balanced_accuracy","gap"},"shares":["10%",...],
// "sets":[{"set","channels","points":[{"share","removed","parameters","macs","balanced_accuracy":D,"gap":D}]}],
// "title","command","environment","identity"}, D = {"value","change","p","p_holm"}. A point that cannot be made has
// a "reason" and no figures. While the scan runs, the file holds "identity" and "sets" alone.
nlohmann::ordered_json scan_json(const ScanResult&, const Baseline&, const Identity&, const Caller&);
void write_scan(const std::filesystem::path&, const Identity&, const std::vector<ScannedSet>&);
// The sets that are finished. Exit::model where they are of another identity; what may differ and does is told.
std::vector<ScannedSet> read_scan(const std::filesystem::path&, const Identity&, const PruneObserver&);

}  // namespace fp
