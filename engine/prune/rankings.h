// How alike the criteria of a search order the channels.
#pragma once

#include <string>
#include <vector>

#include "engine/prune/criteria/criteria.h"

namespace fp {

struct Ranking {
    std::string name;  // a criterion with its settings
    SetScores scores;
};

struct RankTable {
    std::vector<std::string> names;
    // Row i: mean_tau (engine/prune/ranks.h) of ranking i with each before it; NaN where no set is ordered by both.
    std::vector<std::vector<double>> tau;
};
RankTable rank_table(const std::vector<Ranking>&);

}  // namespace fp
