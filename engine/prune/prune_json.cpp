#include "engine/prune/prune_json.h"

#include <nlohmann/json.hpp>

#include "engine/io/files.h"
#include "engine/io/json.h"
#include "engine/run/version.h"

namespace fp {
namespace {

using nlohmann::ordered_json;

constexpr uint64_t kMostBytes = uint64_t(1) << 30;

ordered_json settings_json(const std::vector<Setting>& settings) {
    ordered_json out = ordered_json::object();
    for (const Setting& s : settings) out[s.name] = s.value;
    return out;
}

ordered_json identity_json(const Identity& i) {
    return {{"settings", settings_json(i.settings)}, {"noted", settings_json(i.noted)}};
}

std::vector<Setting> settings_from(const JsonValue& json) {
    std::vector<Setting> out;
    for (const auto& [name, value] : json.members()) out.push_back({name, from_json<std::string>(value)});
    return out;
}

// Exit::model where the scan in the file is of other settings.
void check_identity(const JsonValue& document, const Identity& now, const Observer& observer) {
    FP_REQUIRE(
        document.has("identity") && document.at("identity").has("settings") && document.at("identity").has("noted"),
        Exit::model, document.where,
        ": was saved by an earlier version, which kept fewer settings of a scan: it cannot "
        "be resumed; --force starts over");
    const JsonValue saved = document.at("identity");
    const std::string other = difference(settings_from(saved.at("settings")), now.settings);
    FP_REQUIRE(other.empty(), Exit::model, "--resume: ", other);
    const std::string noted = difference(settings_from(saved.at("noted")), now.noted);
    if (!noted.empty()) observer.caution("--resume: " + noted);
}

}  // namespace

ordered_json to_json(const PruneSettings& p) {
    ordered_json out = to_json(p.score);
    out.update({{"attributes", p.attributes},
                {"learn_weights", p.learn_weights},
                {"removal", p.mask ? "mask-as-released" : "cut"},
                {"layers", p.score.layers},
                {"amount", to_string(p.choose.amount)},
                {"min_channels", p.choose.min_channels},
                {"round_to", p.choose.round_to ? ordered_json(*p.choose.round_to) : ordered_json("ties")},
                {"recalibrate", p.recalibrate},
                {"iterations", p.iterations},
                {"finetune", p.finetune},
                {"batch_size", p.batch_size}});
    if (p.finetune == "head")
        out.update({{"fixed_features", p.fixed_features}, {"fresh_head", p.fresh_head}, {"l1", p.l1}});
    if (const auto placebo = placebo_note(p)) out["placebo"] = to_json(*placebo);
    return out;
}

std::vector<Setting> settings_by_name(const PruneSettings& p) {
    std::vector<Setting> out{{"seed", std::to_string(p.seed)},
                             {"max_drop", json_number(p.max_drop)},
                             {"patience", std::to_string(p.patience)},
                             {"objective", objective_of(p)}};
    for (const std::vector<Setting>& more : {settings_of(to_json(p)), settings_by_name(p.tune, "tune.")})
        out.insert(out.end(), more.begin(), more.end());
    return out;
}

std::string provenance(const Baseline& dense, const PruneSettings& p, const std::string& tool, int round) {
    ordered_json out{
        {"parent", dense.hash},  {"tool", version_line(tool)},
        {"pruning", to_json(p)}, {"seed", p.seed},
        {"round", round},        {"data", {{"name", dense.data.set.name}, {"split", split_hash(dense.data.set)}}}};
    // A model keeps the placebo that it comes from.
    const std::string& parent = dense.model.card.provenance;
    const ordered_json before = parse_json(parent, "the provenance of the dense model", Exit::model);
    if (before.contains("placebo")) out["parent_placebo"] = before["placebo"];
    return json_line(out);
}

std::string scores_key(const PruneSettings& p) {
    ordered_json out = to_json(p);
    out.erase("amount");
    out.erase("removal");
    return json_line(out);
}

std::string to_text(const PruneState& s) { return json_line(to_json(s)); }

PruneState parse_prune_state(const std::string& text) {
    const std::string where = "the state of a pruning run";
    const ordered_json json = parse_json(text, where, Exit::model, {.bytes = kMostBytes});
    return from_json<PruneState>({.json = json, .where = where, .exit = Exit::model});
}

ordered_json scan_json(const ScanResult& r, const Baseline& dense, const Identity& identity, const Caller& caller) {
    ordered_json out{{"criterion", r.criterion},
                     {"attribute", r.attribute},
                     {"gap", kPrimaryKey},
                     {"split", "val"},
                     {"dense", {{"balanced_accuracy", number_or_null(r.dense_accuracy)}}},
                     {"shares", r.shares},
                     {"sets", to_json(r.sets)}};
    if (r.dense_gap) out["dense"]["gap"] = number_or_null(*r.dense_gap);
    out["data"] = dense.data.set.name;
    out["command"] = caller.command_line;
    out["environment"] = environment(caller, &dense.kernels());
    out["identity"] = identity_json(identity);
    JsonWriter{out}("skipped", skipped_of(dense.data));
    return out;
}

void write_scan(const std::filesystem::path& file, const Identity& identity, const std::vector<ScannedSet>& sets) {
    const ordered_json document{{"identity", identity_json(identity)}, {"sets", to_json(sets)}};
    write_file(file, json_text(document, 1));
}

std::string to_text(const ScannedSet& set) { return json_line(to_json(set)); }

ScannedSet parse_scanned_set(const std::string& text) {
    const std::string where = "a set that another rank has scanned";
    const ordered_json json = parse_json(text, where, Exit::bug, {.bytes = kMostBytes});
    return from_json<ScannedSet>({.json = json, .where = where, .exit = Exit::bug});
}

std::vector<ScannedSet> read_scan(const std::filesystem::path& file,
                                  const Identity& identity,
                                  const Observer& observer) {
    const ordered_json json = parse_json(read_file(file, kMostBytes), file.string(), Exit::data, {.bytes = kMostBytes});
    const JsonValue document{json, file.string()};
    check_identity(document, identity, observer);
    return from_json<std::vector<ScannedSet>>(document.at("sets"));
}

}  // namespace fp
