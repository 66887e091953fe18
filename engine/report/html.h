// The report of a pruning run as one HTML file: no scripts, nothing loaded from elsewhere, light and dark.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace fp {

// `report` is fp_prune's report.json. Every text that came from a file is escaped.
std::string report_html(const nlohmann::ordered_json& report);

}  // namespace fp
