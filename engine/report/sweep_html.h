// The part of the report that a search adds: the chart and table of all that was tried.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace fp {

// `sweep` is report.json's "sweep".
std::string sweep_section(const nlohmann::ordered_json& sweep);

}  // namespace fp
