// The JSON inside checkpoints.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

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

// last.json
struct SavedSteps {
    std::optional<int64_t> last, previous, best;
};
std::string to_text(const SavedSteps&);
SavedSteps parse_steps(std::string_view text, const std::string& file_name);

}  // namespace fp
