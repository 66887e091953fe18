// A report (training, pruning, search, scan, evaluation, timing) as one HTML file that loads nothing from elsewhere.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace fp {

// `document` is report.json, scan.json, or that of another tool. It stands whole in the file, and the scripts of
// engine/report/page/ draw it.
std::string report_page(const nlohmann::ordered_json& document);

}  // namespace fp
