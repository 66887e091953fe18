// scores.json: what a scoring pass found, to be cut by again without one. NaN is null in the file.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/prune/snnl_scores.h"

namespace fp {

nlohmann::ordered_json to_json(const LayerScores&);

// Exit::data for a file that is not such a document, Exit::model for scores of another model.
std::vector<LayerScores> read_scores(const std::string& text,
                                     const std::string& file_name,
                                     const std::string& model_hash);

}  // namespace fp
