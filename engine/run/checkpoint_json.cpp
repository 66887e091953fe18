#include "engine/run/checkpoint_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "engine/io/json.h"

namespace fp {

using nlohmann::ordered_json;

void fields(maybe_const<Setting> auto& s, auto& member) {
    member("name", s.name);
    member("value", s.value);
}

void fields(maybe_const<SavedSteps> auto& s, auto& member) {
    member("last", s.last);
    member("previous", s.previous);
    member("best", s.best);
}

namespace {

constexpr int64_t kFormat = 1;  // of checkpoints and of models

ordered_json of_our_format() { return {{"format", kFormat}}; }

// The document of a file, once its format is checked.
JsonValue checked(const ordered_json& document, const std::string& file) {
    JsonValue out{.json = document, .where = file, .exit = Exit::model};
    const auto format = from_json<int64_t>(out.at("format"));
    FP_REQUIRE(format == kFormat, Exit::model, file, ": has format ", format, ", this version reads ", kFormat);
    return out;
}

ordered_json to_json(const Preprocessing& p) {
    return {{"image_size", p.image_size},
            {"resize", "short side, antialiased triangle filter, centre crop"},
            {"mean", p.mean},
            {"std", p.std}};
}

std::array<float, 3> three_numbers(const JsonValue& json) {
    const auto found = from_json<std::vector<double>>(json);
    json.need(found.size() == 3 && std::none_of(found.begin(), found.end(), [](double v) { return std::isnan(v); }),
              "three numbers");
    return {float(found[0]), float(found[1]), float(found[2])};
}

Preprocessing preprocessing_of(const JsonValue& json) {
    const Preprocessing p{.image_size = from_json<int>(json.at("image_size")),
                          .mean = three_numbers(json.at("mean")),
                          .std = three_numbers(json.at("std"))};
    json.at("image_size").need(p.image_size >= 1 && p.image_size <= 16384, "a size from 1 to 16384");
    for (const float s : p.std) json.at("std").need(s > 0, "above 0");
    return p;
}

constexpr size_t kKeyDigits = 12;

std::string to_hex(const std::vector<uint64_t>& keys) {
    std::string out;
    for (const uint64_t key : keys) out += fmt::format("{:0{}x}", key, kKeyDigits);
    return out;
}

std::vector<uint64_t> keys_of(const JsonValue& json) {
    const auto digits = from_json<std::string>(json);
    std::vector<uint64_t> keys(digits.size() / kKeyDigits);
    bool right = digits.size() % kKeyDigits == 0;
    for (size_t i = 0; i < keys.size(); ++i) {
        const char* const end = digits.data() + (i + 1) * kKeyDigits;
        right = right && std::from_chars(end - kKeyDigits, end, keys[i], 16).ptr == end;
    }
    json.need(right && std::ranges::is_sorted(keys), "a sorted list of keys of 12 hex digits");
    return keys;
}

ordered_json to_json(const SeenImages& seen) {
    ordered_json out{{"data", seen.data}, {"split_hash", seen.split_hash}};
    if (seen.split_seed) out["split_seed"] = *seen.split_seed;
    out["train"] = to_hex(seen.train);
    out["val"] = to_hex(seen.val);
    if (seen.truncated) out["truncated"] = true;
    if (seen.earlier_unknown) out["earlier_unknown"] = true;
    if (seen.first_weights_unknown) out["first_weights_unknown"] = true;
    return out;
}

SeenImages seen_of(const JsonValue& json) {
    SeenImages out{.train = keys_of(json.at("train")), .val = keys_of(json.at("val"))};
    read(json.at("data"), out.data);
    read(json.at("split_hash"), out.split_hash);
    if (json.has("truncated")) read(json.at("truncated"), out.truncated);
    if (json.has("earlier_unknown")) read(json.at("earlier_unknown"), out.earlier_unknown);
    if (json.has("first_weights_unknown")) read(json.at("first_weights_unknown"), out.first_weights_unknown);
    if (json.has("split_seed")) {
        const JsonValue seed = json.at("split_seed");
        seed.need(seed.json.is_number_unsigned(), "a whole number from 0 on");
        out.split_seed = seed.json.get<uint64_t>();
    }
    return out;
}

ModelSpec spec_of(const JsonValue& json) {
    const auto spec = from_json<ModelSpec>(json);
    json.at("classes").need(spec.classes >= 2 && spec.classes <= 1'000'000, "a number from 2 to 1000000");
    json.at("width").need(spec.width > 0 && spec.width <= 16, "a factor above 0 and up to 16");
    for (const auto& [layer, width] : json.at("widths").members()) {
        const int channels = spec.widths.at(layer);
        width.need(channels >= 1 && channels <= 65536, "a number of channels from 1 to 65536");
    }
    return spec;
}

}  // namespace

std::string to_text(const StateDescription& d) {
    ordered_json out = of_our_format();
    out["step"] = d.step;
    write(out["settings"], d.identity.settings);
    write(out["noted"], d.identity.noted);
    out["progress"] = ordered_json::parse(d.progress);
    write(out["model"], d.model);
    write(out["state"], d.state);
    return json_line(out);
}

StateDescription parse_description(std::string_view text, const std::string& file_name) {
    const ordered_json json = parse_json(text, file_name, Exit::model);
    const JsonValue head = checked(json, file_name);
    StateDescription out{.progress = json_line(head.at("progress").json)};
    read(head.at("step"), out.step);
    head.at("step").need(out.step >= 0, "from 0 on");
    read(head.at("settings"), out.identity.settings);
    read(head.at("noted"), out.identity.noted);
    read(head.at("model"), out.model);
    read(head.at("state"), out.state);
    return out;
}

std::string to_text(const SectionHashes& hashes) { return json_line(hashes); }

SectionHashes parse_hashes(std::string_view text, const std::string& file_name) {
    const ordered_json json = parse_json(text, file_name + ": the metadata `xxh3`", Exit::model);
    return from_json<SectionHashes>({.json = json, .where = file_name, .key = kHashesKey, .exit = Exit::model});
}

std::string card_text(const ModelSpec& spec, const ModelCard& card) {
    ordered_json out = of_our_format();
    write(out["spec"], spec);
    out["classes"] = card.classes;
    out["preprocessing"] = to_json(card.preprocessing);
    write(out["kept_channels"], card.kept);
    out["provenance"] = ordered_json::parse(card.provenance);
    if (!card.thresholds.empty()) write(out["thresholds"], card.thresholds);
    if (card.seen) out["seen"] = to_json(*card.seen);
    return json_line(out);
}

DescribedModel parse_card(const std::string& text, const std::string& file_name) {
    const std::string where = file_name + ": the metadata `fairprune`";
    const ordered_json document = parse_json(text, where, Exit::model);
    const JsonValue json = checked(document, where);
    DescribedModel out{.spec = spec_of(json.at("spec")),
                       .card = {.preprocessing = preprocessing_of(json.at("preprocessing")),
                                .provenance = json.at("provenance").json.dump()}};
    read(json.at("classes"), out.card.classes);
    read(json.at("kept_channels"), out.card.kept);
    if (json.has("thresholds")) read(json.at("thresholds"), out.card.thresholds);
    if (json.has("seen")) out.card.seen = seen_of(json.at("seen"));
    json.at("classes").need(int(out.card.classes.size()) == out.spec.classes,
                            "a name for each of the classes that the spec has");
    return out;
}

std::string to_text(const SavedSteps& steps) {
    ordered_json out = of_our_format();
    write(out, steps);
    return json_line(out) + "\n";
}

SavedSteps parse_steps(std::string_view text, const std::string& file_name) {
    const ordered_json json = parse_json(text, file_name, Exit::model);
    const auto steps = from_json<SavedSteps>(checked(json, file_name));
    FP_REQUIRE(steps.last, Exit::model, file_name, ": has no `last`");
    return steps;
}

}  // namespace fp
