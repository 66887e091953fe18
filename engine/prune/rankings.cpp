#include "engine/prune/rankings.h"

#include "engine/prune/ranks.h"

namespace fp {

RankTable rank_table(const std::vector<Ranking>& rankings) {
    RankTable out;
    for (size_t i = 0; i < rankings.size(); ++i) {
        out.names.push_back(rankings[i].name);
        std::vector<double>& row = out.tau.emplace_back();
        for (size_t j = 0; j < i; ++j) row.push_back(mean_tau(rankings[i].scores, rankings[j].scores));
    }
    return out;
}

}  // namespace fp
