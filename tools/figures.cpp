#include "tools/figures.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/fairness/intervals.h"
#include "engine/io/json.h"
#include "kernels/error.h"

namespace fp {

using nlohmann::ordered_json;

void add_p_holm(const std::vector<ordered_json*>& figures) {
    std::vector<double> p;
    for (const ordered_json* figure : figures) p.push_back(value_or_nan(figure->at("p")));
    const std::vector<double> corrected = holm(p);
    for (size_t i = 0; i < figures.size(); ++i)
        (*figures[i])["p_holm"] = number_or_null(corrected[i]);
}

std::vector<std::string> split_list(const std::string& text, const char* option) {
    std::vector<std::string> out;
    for (size_t at = 0; at <= text.size();) {
        const size_t comma = std::min(text.find(',', at), text.size());
        FP_REQUIRE(comma > at, Exit::usage, option, " `", text, "`: an entry of the list is empty");
        out.push_back(text.substr(at, comma - at));
        at = comma + 1;
    }
    return out;
}

}  // namespace fp
