// The JSON inside checkpoints.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/fairness/threshold.h"
#include "engine/io/fields.h"
#include "engine/run/checkpoint.h"
#include "engine/run/identity.h"

namespace fp {

// The description in a state file. `model` and `state` hold the section hashes of both files.
struct StateDescription {
    int64_t step = 0;
    Identity identity = {};
    std::string progress = {};  // JSON
    SectionHashes model = {}, state = {};
};
std::string to_text(const StateDescription&);
StateDescription parse_description(std::string_view text, const std::string& file_name);

std::string to_text(const SectionHashes&);
SectionHashes parse_hashes(std::string_view text, const std::string& file_name);

// The description of a model: {"format","spec","classes","preprocessing","kept_channels","provenance","thresholds",
// "seen":{"data","split_hash","split_seed","train","val"}}; the keys of train and val are joined, 12 hex digits each.
std::string card_text(const ModelSpec&, const ModelCard&);
struct DescribedModel {
    ModelSpec spec;
    ModelCard card;
};
DescribedModel parse_card(const std::string& text, const std::string& file_name);

void fields(maybe_const<ModelSpec> auto& spec, auto& member) {
    member("arch", spec.arch);
    member("classes", spec.classes);
    member("stem", spec.stem);
    member("width", spec.width);
    member("widths", spec.widths);
}

void fields(maybe_const<Threshold::Validation> auto& v, auto& member) {
    member("images", v.images);
    member("positives", v.positives);
    member("sensitivity", v.sensitivity);
    member("specificity", v.specificity);
    member("f1", v.f1);
    member.if_any("data", v.data);
    member.if_any("split_hash", v.split_hash);
}
void fields(maybe_const<Threshold> auto& t, auto& member) {
    member("positive", t.positive);
    member("rule", t.rule);
    member("value", t.value);
    member("validation", t.chosen_on);
}

// last.json
struct SavedSteps {
    std::optional<int64_t> last = {}, previous = {}, best = {};
};
std::string to_text(const SavedSteps&);
SavedSteps parse_steps(std::string_view text, const std::string& file_name);

}  // namespace fp
