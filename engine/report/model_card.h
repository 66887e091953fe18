// A model card in Markdown: what the model is, on whom it was judged, what it can and cannot be said to do.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace fp {

// `report` is fp_prune's report.json.
std::string model_card(const nlohmann::ordered_json& report);

}  // namespace fp
