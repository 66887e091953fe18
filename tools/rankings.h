// How alike the settings of a search order the channels.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/prune/criteria/criteria.h"

namespace fp {

struct Ranking {
    std::string name;  // a criterion with its settings
    SetScores scores;
};

// {"names":[...],"tau":[[...],...]}: row i holds mean_tau (engine/prune/ranks.h) of ranking i with those before it, null where no
// set is ordered by both.
nlohmann::ordered_json rankings_json(const std::vector<Ranking>&);
std::string rankings_text(const nlohmann::ordered_json& rankings);  // within 80 columns

}  // namespace fp
