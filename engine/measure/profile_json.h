// Profiles as JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "engine/measure/layer_costs.h"

namespace fp {

// Rows of several networks, one process each, as Chrome's trace viewer and Perfetto read them: forward from the top,
// then backward from the bottom where there is one.
struct NamedProfile {
    std::string name;
    std::vector<LayerCost> rows;
};
nlohmann::ordered_json chrome_trace(const std::vector<NamedProfile>&);

}  // namespace fp
