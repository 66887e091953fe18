// What fp_prune says at its end: as a document, as a table for a terminal, as a page.
#pragma once

#include <filesystem>
#include <optional>

#include <nlohmann/json.hpp>

#include "engine/fairness/predictions.h"
#include "engine/run/checkpoint.h"

namespace fp {

struct PruneReport {
    const LoadedModel& dense;
    const LoadedModel& pruned;
    nlohmann::ordered_json rounds;
    int best_round = -1;
    std::vector<std::string> attributes;
    std::vector<nlohmann::ordered_json> metrics = {};
    std::optional<Predictions> test_dense = {}, test_pruned = {};
    std::string command = {}, data = {};
    nlohmann::ordered_json settings = {}, tuning = {}, environment = {}, scores = {}, sweep = {};
};

// {"title","command","settings","data","models":{...},"layers":[...],"speed":{...},"rounds":[...],
//  "test":{"dense":fp_eval's,"pruned":fp_eval's,"comparison":fp_eval's},"verdict","sweep","curves":[...]}. Times both models
// in turns.
nlohmann::ordered_json report_json(const PruneReport&, int batch_size);

// One to three sentences from a comparison's figures: what happened to accuracy and to each attribute's gap, and whether
// that can be told from chance.
std::string verdict_of(const nlohmann::ordered_json& test);

std::string report_text(const nlohmann::ordered_json&);  // within 80 columns
void write_report_html(const std::filesystem::path&, const nlohmann::ordered_json&);

}  // namespace fp
