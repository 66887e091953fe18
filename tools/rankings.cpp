#include "tools/rankings.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/io/json.h"
#include "engine/prune/ranks.h"
#include "tools/figures.h"

namespace fp {

using nlohmann::ordered_json;

ordered_json rankings_json(const std::vector<Ranking>& rankings) {
    ordered_json names = ordered_json::array(), rows = ordered_json::array();
    for (size_t i = 0; i < rankings.size(); ++i) {
        names.push_back(rankings[i].name);
        ordered_json row = ordered_json::array();
        for (size_t j = 0; j < i; ++j)
            row.push_back(number_or_null(mean_tau(rankings[i].scores, rankings[j].scores)));
        rows.push_back(row);
    }
    return {{"names", names}, {"tau", rows}};
}

std::string rankings_text(const ordered_json& rankings) {
    constexpr size_t kLine = 80, kCell = 6;
    const auto names = rankings.at("names").get<std::vector<std::string>>();
    size_t width = 0;
    for (const std::string& name : names) width = std::max(width, name.size());
    width = std::min(width + 4, kLine / 2);
    const size_t columns = (kLine - width) / kCell;
    std::string out = "how alike the orders are: Kendall's tau-b, mean over tied channels' sets\n";
    for (size_t from = 0; from + 1 < names.size(); from += columns) {
        const size_t to = std::min(from + columns, names.size() - 1);
        out += std::string(width, ' ');
        for (size_t j = from; j < to; ++j) out += fmt::format("{:>{}}", j + 1, kCell);
        out += "\n";
        for (size_t i = from; i < names.size(); ++i) {
            const std::string name = fmt::format("{:>2} {}", i + 1, names[i].substr(0, width - 4));
            out += i == from ? name : fmt::format("{:<{}}", name, width);
            for (size_t j = from; j < std::min(i, to); ++j) {
                const ordered_json& tau = rankings.at("tau").at(i).at(j);
                out += tau.is_null() ? fmt::format("{:>{}}", "-", kCell)
                                     : fmt::format("{:>{}.2f}", tau.get<double>(), kCell);
            }
            out += "\n";
        }
    }
    return out;
}

}  // namespace fp
