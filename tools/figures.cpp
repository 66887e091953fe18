#include "tools/figures.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/fairness/intervals.h"
#include "kernels/error.h"

namespace fp {

using nlohmann::ordered_json;

ordered_json number(double v) { return std::isfinite(v) ? ordered_json(v) : ordered_json(nullptr); }

double value_or_nan(const ordered_json& v) {
    return v.is_null() ? std::numeric_limits<double>::quiet_NaN() : v.get<double>();
}

void add_p_holm(const std::vector<ordered_json*>& figures) {
    std::vector<double> p;
    for (const ordered_json* figure : figures) p.push_back(value_or_nan(figure->at("p")));
    const std::vector<double> corrected = holm(p);
    for (size_t i = 0; i < figures.size(); ++i) (*figures[i])["p_holm"] = number(corrected[i]);
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
