// The report of a sensitivity scan (tools/scan.h): which layers bear how much.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace fp {

// `report` is fp_prune's scan.json, with "title" and "command".
std::string scan_html(const nlohmann::ordered_json& report);

}  // namespace fp
