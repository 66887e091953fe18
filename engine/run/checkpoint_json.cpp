#include "engine/run/checkpoint_json.h"

#include <nlohmann/json.hpp>

#include "engine/io/files.h"
#include "engine/io/json.h"

namespace fp {
namespace {

using nlohmann::ordered_json;

constexpr int kFormat = 1;  // of checkpoints and of models

std::map<std::string, std::string> hashes_of(const ordered_json& object, const std::string& file) {
    FP_REQUIRE(object.is_object(), Exit::model, file, ": has no list of hashes");
    std::map<std::string, std::string> hashes;
    for (const auto& [name, hash] : object.items()) {
        FP_REQUIRE(hash.is_string(), Exit::model, file, ": the hash of ", printable(name), " is no string");
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
    FP_REQUIRE(format == kFormat, Exit::model, file, ": has format ", format, ", this version reads ", kFormat);
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

ordered_json to_json(const Preprocessing& p) {
    return {{"image_size", p.image_size},
            {"resize", "short side, antialiased triangle filter, centre crop"},
            {"mean", p.mean},
            {"std", p.std}};
}

ModelSpec spec_from_json(const ordered_json& j) {
    try {
        ModelSpec spec{.arch = j.at("arch").get<std::string>(),
                       .classes = j.at("classes").get<int>(),
                       .stem = j.at("stem").get<std::string>(),
                       .width = j.at("width").get<double>()};
        for (const auto& [layer, channels] : j.at("widths").items()) spec.widths[layer] = channels.get<int>();
        FP_REQUIRE(spec.classes >= 2 && spec.classes <= 1'000'000, Exit::model, "model spec: ", spec.classes,
                   " classes");
        FP_REQUIRE(spec.width > 0 && spec.width <= 16, Exit::model, "model spec: width ", spec.width);
        for (const auto& [layer, channels] : spec.widths)
            FP_REQUIRE(channels >= 1 && channels <= 65536, Exit::model, "model spec: ", layer, " has ", channels,
                       " channels");
        return spec;
    } catch (const nlohmann::json::exception& e) {
        fail_with(Exit::model, "model spec: ", e.what());
    }
}

Preprocessing preprocessing_from_json(const ordered_json& j) {
    try {
        Preprocessing p{.image_size = j.at("image_size").get<int>(),
                        .mean = j.at("mean").get<std::array<float, 3>>(),
                        .std = j.at("std").get<std::array<float, 3>>()};
        FP_REQUIRE(p.image_size >= 1 && p.image_size <= 16384, Exit::model, "preprocessing: image size ", p.image_size);
        for (const float s : p.std) FP_REQUIRE(s > 0, Exit::model, "preprocessing: deviation ", s);
        return p;
    } catch (const nlohmann::json::exception& e) {
        fail_with(Exit::model, "preprocessing: ", e.what());
    }
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
    for (const char* key :
         {older ? "identity" : "settings", older ? "identity" : "noted", "progress", "model", "state"})
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

ordered_json to_json(const ModelSpec& spec) {
    ordered_json widths = ordered_json::object();
    for (const auto& [layer, channels] : spec.widths) widths[layer] = channels;
    return {
        {"arch", spec.arch}, {"classes", spec.classes}, {"stem", spec.stem}, {"width", spec.width}, {"widths", widths}};
}

std::string card_text(const ModelSpec& spec, const ModelCard& card) {
    ordered_json kept = ordered_json::object();
    for (const auto& [layer, channels] : card.kept) kept[layer] = channels;
    ordered_json out{{"format", kFormat},       {"spec", to_json(spec)},
                     {"classes", card.classes}, {"preprocessing", to_json(card.preprocessing)},
                     {"kept_channels", kept},   {"provenance", ordered_json::parse(card.provenance)}};
    for (const auto& [positive, t] : card.thresholds) out["thresholds"][positive] = to_json(t);
    return out.dump();
}

DescribedModel parse_card(const std::string& text, const std::string& file_name) {
    try {
        const ordered_json json = ordered_json::parse(text);
        const int format = json.at("format").get<int>();
        FP_REQUIRE(format == kFormat, Exit::model, file_name, ": format ", format, ", this program knows ", kFormat);
        DescribedModel out{.spec = spec_from_json(json.at("spec")),
                           .card = {.preprocessing = preprocessing_from_json(json.at("preprocessing")),
                                    .classes = json.at("classes").get<std::vector<std::string>>(),
                                    .provenance = json.at("provenance").dump()}};
        for (const auto& [layer, channels] : json.at("kept_channels").items())
            out.card.kept[layer] = channels.get<std::vector<int>>();
        if (json.contains("thresholds"))
            for (const auto& [positive, t] : json.at("thresholds").items())
                out.card.thresholds[positive] = threshold_from(t);
        FP_REQUIRE(int(out.card.classes.size()) == out.spec.classes, Exit::model, file_name, ": ",
                   out.card.classes.size(), " class names for ", out.spec.classes, " classes");
        return out;
    } catch (const nlohmann::json::exception& e) {
        fail_with(Exit::model, file_name, ": the metadata `fairprune` is not readable: ", e.what());
    }
}

ordered_json to_json(const StoredThreshold& t) {
    ordered_json out{{"positive", t.positive}, {"rule", t.rule}, {"value", t.value}};
    if (!t.chosen_on) return out;
    const StoredThreshold::Validation& v = *t.chosen_on;
    out["validation"] = {{"images", v.images},
                         {"positives", v.positives},
                         {"sensitivity", v.sensitivity},
                         {"specificity", v.specificity},
                         {"f1", v.f1}};
    if (!v.data.empty()) out["validation"]["data"] = v.data;
    if (!v.split_hash.empty()) out["validation"]["split_hash"] = v.split_hash;
    return out;
}

StoredThreshold threshold_from(const ordered_json& j) {
    StoredThreshold out{.positive = j.at("positive").get<std::string>(),
                        .rule = j.at("rule").get<std::string>(),
                        .value = j.at("value").get<double>()};
    if (!j.contains("validation")) return out;
    const ordered_json& v = j.at("validation");
    out.chosen_on = {.images = v.at("images").get<int64_t>(),
                     .positives = v.at("positives").get<int64_t>(),
                     .sensitivity = v.at("sensitivity").get<double>(),
                     .specificity = v.at("specificity").get<double>(),
                     .f1 = v.at("f1").get<double>(),
                     .data = v.value("data", ""),
                     .split_hash = v.value("split_hash", "")};
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
