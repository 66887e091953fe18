// scores.json: what a scoring pass found, to be cut by again without one. NaN is null in the file.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "engine/prune/criteria/criteria.h"

namespace fp {

nlohmann::ordered_json to_json(const LayerScores&);

nlohmann::ordered_json scores_json(const ChannelScores&, const ScoreOptions&, const std::string& model_hash);

struct ScoresFile {
    std::string criterion;
    std::vector<LayerScores> layers;  // of snnl: at least one
    SetScores sets;                   // of the others: at least one
};

// Exit::data for a file that is not such a document, Exit::model for scores of another model.
ScoresFile read_scores(const std::string& text, const std::string& file_name, const std::string& model_hash);

}  // namespace fp
