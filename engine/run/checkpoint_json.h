// The JSON inside checkpoints.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "engine/fairness/threshold.h"
#include "engine/run/checkpoint.h"
#include "engine/run/identity.h"

namespace fp {

// What a state file says beside its tensors. `model` and `state` hold the hashes of sections.
struct StateDescription {
    int64_t step = 0;
    std::optional<Identity> identity;  // none: in the form of fairprune 0.1
    std::string progress;              // JSON
    std::map<std::string, std::string> model, state;
};
std::string to_text(const StateDescription&);
StateDescription parse_description(std::string_view text, const std::string& file_name);

nlohmann::ordered_json to_json(const ModelSpec&);

// The description of a model: {"format","spec","classes","preprocessing","kept_channels","provenance","thresholds"}.
std::string card_text(const ModelSpec&, const ModelCard&);
struct DescribedModel {
    ModelSpec spec;
    ModelCard card;
};
DescribedModel parse_card(const std::string& text, const std::string& file_name);

// {"positive","rule","value"} and, where it was chosen, "validation" with what it gave there.
nlohmann::ordered_json to_json(const StoredThreshold&);
StoredThreshold threshold_from(const nlohmann::ordered_json&);

// last.json
struct SavedSteps {
    std::optional<int64_t> last, previous, best;
};
std::string to_text(const SavedSteps&);
SavedSteps parse_steps(std::string_view text, const std::string& file_name);

}  // namespace fp
