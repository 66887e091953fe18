#include "engine/run/checkpoint_json.h"

#include <nlohmann/json.hpp>

#include "engine/io/files.h"
#include "engine/io/json.h"

namespace fp {
namespace {

using nlohmann::ordered_json;

constexpr int kFormat = 1;

std::map<std::string, std::string> hashes_of(const ordered_json& object, const std::string& file) {
    FP_REQUIRE(object.is_object(), Exit::model, file, ": has no list of hashes");
    std::map<std::string, std::string> hashes;
    for (const auto& [name, hash] : object.items()) {
        FP_REQUIRE(hash.is_string(), Exit::model, file, ": the hash of ", printable(name),
                   " is no string");
        hashes[name] = hash.get<std::string>();
    }
    return hashes;
}

int64_t whole_number(const ordered_json& object, const char* key, const std::string& file) {
    FP_REQUIRE(object.is_object() && object.contains(key) && object.at(key).is_number_unsigned() &&
                   object.at(key).get<uint64_t>() <= uint64_t(INT64_MAX),
               Exit::model, file, ": ", key, " is missing, or no whole number");
    return object.at(key).get<int64_t>();
}

void check_format(const ordered_json& object, const std::string& file) {
    const int64_t format = whole_number(object, "format", file);
    FP_REQUIRE(format == kFormat, Exit::model, file, ": has format ", format,
               ", this version reads ", kFormat);
}

ordered_json to_json(const std::vector<Setting>& settings) {
    ordered_json out = ordered_json::array();
    for (const Setting& s : settings) out.push_back({{"name", s.name}, {"value", s.value}});
    return out;
}

std::vector<Setting> settings_of(const ordered_json& list, const std::string& file) {
    FP_REQUIRE(list.is_array(), Exit::model, file, ": has no list of settings");
    std::vector<Setting> out;
    for (const ordered_json& s : list) {
        const auto word = [&](const char* key) {
            FP_REQUIRE(s.is_object() && s.contains(key) && s.at(key).is_string(), Exit::model, file,
                       ": a setting has no ", key);
            return s.at(key).get<std::string>();
        };
        out.push_back({word("name"), word("value")});
    }
    return out;
}

}  // namespace

std::string to_text(const StateDescription& d) {
    const Identity identity = d.identity.value();
    return json_line({{"format", kFormat},
                      {"step", d.step},
                      {"settings", to_json(identity.settings)},
                      {"noted", to_json(identity.noted)},
                      {"progress", ordered_json::parse(d.progress)},
                      {"model", d.model},
                      {"state", d.state}});
}

StateDescription parse_description(std::string_view text, const std::string& file_name) {
    const ordered_json head = parse_json(text, file_name, Exit::model);
    check_format(head, file_name);
    const bool older = head.contains("identity");
    for (const char* key : {older ? "identity" : "settings", older ? "identity" : "noted",
                            "progress", "model", "state"})
        FP_REQUIRE(head.contains(key), Exit::model, file_name, ": ", key, " is missing");
    StateDescription out{.step = whole_number(head, "step", file_name),
                         .identity = {},
                         .progress = json_line(head.at("progress")),
                         .model = hashes_of(head.at("model"), file_name),
                         .state = hashes_of(head.at("state"), file_name)};
    if (!older)
        out.identity = {.settings = settings_of(head.at("settings"), file_name),
                        .noted = settings_of(head.at("noted"), file_name)};
    return out;
}

std::string to_text(const SavedSteps& steps) {
    ordered_json out{{"format", kFormat}, {"last", steps.last.value()}};
    if (steps.previous) out["previous"] = *steps.previous;
    if (steps.best) out["best"] = *steps.best;
    return json_line(out) + "\n";
}

SavedSteps parse_steps(std::string_view text, const std::string& file_name) {
    const ordered_json json = parse_json(text, file_name, Exit::model);
    check_format(json, file_name);
    SavedSteps out{.last = whole_number(json, "last", file_name), .previous = {}, .best = {}};
    if (json.contains("previous")) out.previous = whole_number(json, "previous", file_name);
    if (json.contains("best")) out.best = whole_number(json, "best", file_name);
    return out;
}

}  // namespace fp
