// Profiles as JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "engine/measure/stopwatch.h"

namespace fp {

// As Chrome's trace viewer and Perfetto read them, one process each: forward from the top, then backward from the
// bottom where there is one.
nlohmann::ordered_json chrome_trace(const std::vector<NamedProfile>&);

}  // namespace fp
