#include "engine/prune/prune_json.h"

#include <nlohmann/json.hpp>

#include "engine/io/files.h"
#include "engine/io/json.h"
#include "engine/prune/scores_file.h"
#include "engine/run/version.h"
#include "engine/train/train_json.h"

namespace fp {
namespace {

using nlohmann::ordered_json;

constexpr uint64_t kMostBytes = uint64_t(1) << 30;

Figure figure_from(const std::string& key, const ordered_json& value) {
    return {.key = key, .value = value_or_nan(value)};
}

GroupSummary group_from(const std::string& name, const ordered_json& j) {
    GroupSummary out{.name = name, .samples = j.at("samples").get<int64_t>(), .metrics = {}};
    for (const auto& [key, value] : j.items())
        if (key != "samples") out.metrics.push_back(figure_from(key, value));
    return out;
}

Summary summary_from(const ordered_json& j) {
    Summary out{.samples = j.at("samples").get<int64_t>(), .loss = value_or_nan(j.at("loss"))};
    for (const auto& [key, value] : j.items()) {
        if (key == "samples" || key == "loss") continue;
        if (key != "attributes") {
            out.metrics.push_back(figure_from(key, value));
            continue;
        }
        for (const auto& [name, attribute] : value.items()) {
            AttributeSummary& a = out.attributes.emplace_back();
            a.name = name;
            for (const auto& [group, figures] : attribute.at("groups").items())
                a.groups.push_back(group_from(group, figures));
            for (const auto& [gap, figure] : attribute.at("gaps").items()) a.gaps.push_back(figure_from(gap, figure));
        }
    }
    return out;
}

ordered_json figure_json(const ScanFigure& f, bool corrected) {
    ordered_json out{
        {"value", number_or_null(f.value)}, {"change", number_or_null(f.change)}, {"p", number_or_null(f.p)}};
    if (corrected) out["p_holm"] = number_or_null(f.p_holm);
    return out;
}

ordered_json point_json(const ScanPoint& p, bool corrected) {
    if (!p.reason.empty()) return {{"share", p.share}, {"reason", p.reason}};
    ordered_json out{{"share", p.share}, {"removed", p.removed}, {"parameters", p.parameters}, {"macs", p.macs}};
    if (p.balanced_accuracy) out["balanced_accuracy"] = figure_json(*p.balanced_accuracy, corrected);
    if (p.gap) out["gap"] = figure_json(*p.gap, corrected);
    return out;
}

ordered_json sets_json(const std::vector<ScannedSet>& sets, bool corrected) {
    ordered_json out = ordered_json::array();
    for (const ScannedSet& set : sets) {
        ordered_json points = ordered_json::array();
        for (const ScanPoint& p : set.points) points.push_back(point_json(p, corrected));
        out.push_back({{"set", set.set}, {"channels", set.channels}, {"points", points}});
    }
    return out;
}

ScanFigure scan_figure_from(const ordered_json& j) {
    return {.value = value_or_nan(j.at("value")), .change = value_or_nan(j.at("change")), .p = value_or_nan(j.at("p"))};
}

ScanPoint scan_point_from(const ordered_json& j) {
    ScanPoint out{.share = j.at("share").get<std::string>()};
    if (j.contains("reason")) {
        out.reason = j.at("reason").get<std::string>();
        return out;
    }
    out.removed = j.at("removed").get<int64_t>();
    out.parameters = j.at("parameters").get<int64_t>();
    out.macs = j.at("macs").get<double>();
    if (j.contains("balanced_accuracy")) out.balanced_accuracy = scan_figure_from(j.at("balanced_accuracy"));
    if (j.contains("gap")) out.gap = scan_figure_from(j.at("gap"));
    return out;
}

ordered_json settings_json(const std::vector<Setting>& settings) {
    ordered_json out = ordered_json::object();
    for (const Setting& s : settings) out[s.name] = s.value;
    return out;
}

ordered_json identity_json(const Identity& i) {
    return {{"settings", settings_json(i.settings)}, {"noted", settings_json(i.noted)}};
}

std::vector<Setting> settings_from(const ordered_json& j) {
    std::vector<Setting> out;
    for (const auto& [name, value] : j.items()) out.push_back({name, value.get<std::string>()});
    return out;
}

// Exit::model where the scan in the file is of other settings.
void check_identity(const ordered_json& document,
                    const std::string& file,
                    const Identity& now,
                    const PruneObserver& observer) {
    const ordered_json saved = document.value("identity", ordered_json());
    FP_REQUIRE(saved.is_object() && saved.contains("settings") && saved.contains("noted"), Exit::model, file,
               ": was saved by an earlier version, which kept fewer settings of a scan: it cannot "
               "be resumed; --force starts over");
    const std::string other = difference(settings_from(saved.at("settings")), now.settings);
    FP_REQUIRE(other.empty(), Exit::model, "--resume: ", other);
    const std::string noted = difference(settings_from(saved.at("noted")), now.noted);
    if (!noted.empty()) observer.caution("--resume: " + noted);
}

// A round whose fine-tuning is not done has no "val" and what follows it.
ordered_json begun_json(const Round& r) {
    ordered_json out{{"round", r.number},          {"attribute_weights", r.attribute_weights},
                     {"removed", r.removed},       {"channels", r.channels},
                     {"parameters", r.parameters}, {"macs", r.macs},
                     {"cut", to_json(r.cut)}};
    if (r.recalibrated) out["recalibrated"] = to_json(*r.recalibrated);
    return out;
}

Round round_from(const ordered_json& j) {
    Round out{.number = j.at("round").get<int>(),
              .attribute_weights = j.at("attribute_weights").get<std::map<std::string, double>>(),
              .removed = j.at("removed").get<Removal>(),
              .channels = j.at("channels").get<int64_t>(),
              .parameters = j.at("parameters").get<int64_t>(),
              .macs = j.at("macs").get<double>(),
              .cut = summary_from(j.at("cut"))};
    if (j.contains("recalibrated")) out.recalibrated = summary_from(j.at("recalibrated"));
    if (!j.contains("val")) return out;
    out.val = summary_from(j.at("val"));
    out.objective = {.by = j.at("objective").at("by").get<std::string>(),
                     .value = value_or_nan(j.at("objective").at("value"))};
    out.within_max_drop = j.at("within_max_drop").get<bool>();
    out.enough_accuracy = j.at("enough_accuracy").get<bool>();
    return out;
}

}  // namespace

ordered_json to_json(const PruneSettings& p) {
    const bool exact = p.snnl.definition == SnnlShape::Definition::exact;
    const bool cosine = p.snnl.distance == SnnlShape::Distance::cosine;
    return {{"criterion", p.criterion},
            {"definition", exact ? "exact" : "as-released"},
            {"distance", cosine ? "cosine" : "euclidean"},
            {"temperature", p.snnl.temperature},
            {"tap", name(p.tap)},
            {"samples", p.samples},
            {"centre", p.snnl.centred},
            {"given_class", p.snnl.given_class},
            {"batches", p.batches},
            {"permutations", p.snnl.permutations},
            {"protect", p.protect},
            {"beta", p.fairprune.beta},
            {"protected", p.fairprune.protected_group},
            {"attributes", p.attributes},
            {"learn_weights", p.learn_weights},
            {"removal", p.mask ? "mask-as-released" : "cut"},
            {"layers", p.layers},
            {"amount", p.amount},
            {"min_channels", p.min_channels},
            {"round_to", p.round_to},
            {"recalibrate", p.recalibrate},
            {"iterations", p.iterations},
            {"finetune", p.finetune}};
}

std::vector<Setting> settings_by_name(const PruneSettings& p) {
    std::vector<Setting> out{{"seed", std::to_string(p.seed)},
                             {"batch_size", std::to_string(p.batch_size)},
                             {"max_drop", json_number(p.max_drop)},
                             {"patience", std::to_string(p.patience)},
                             {"objective", objective_of(p)}};
    const auto add = [&](const std::string& prefix, const ordered_json& settings) {
        for (const auto& [key, value] : settings.items()) out.push_back({prefix + key, value.dump()});
    };
    add("", to_json(p));
    add("tune.", all_to_json(p.tune));
    return out;
}

std::string provenance(const Baseline& dense, const PruneSettings& p, const std::string& tool, int round) {
    const ordered_json out{
        {"parent", dense.hash},  {"tool", version_line(tool)},
        {"pruning", to_json(p)}, {"seed", p.seed},
        {"round", round},        {"data", {{"name", dense.data.set.name}, {"split", split_hash(dense.data.set)}}}};
    return out.dump();
}

void append_epoch(Metrics& metrics, const EpochResult& r, int round, int64_t step) {
    ordered_json row = epoch_row(r);
    row["round"] = round;
    row["step"] = step;
    metrics.append(row, epoch_times(r));
}

std::string scores_file_text(const ChannelScores& scores, const ScoreOptions& options, const std::string& model_hash) {
    return scores_json(scores, options, model_hash).dump(1) + "\n";
}

std::string scores_key(const PruneSettings& p) {
    ordered_json out = to_json(p);
    out.erase("amount");
    out.erase("removal");
    return out.dump();
}

ordered_json to_json(const Round& r) {
    ordered_json out = begun_json(r);
    out["val"] = to_json(r.val);
    out["objective"] = {{"by", r.objective.by}, {"value", number_or_null(r.objective.value)}};
    out["within_max_drop"] = r.within_max_drop;
    out["enough_accuracy"] = r.enough_accuracy;
    return out;
}

ordered_json to_json(const std::vector<Round>& rounds) {
    ordered_json out = ordered_json::array();
    for (const Round& r : rounds) out.push_back(to_json(r));
    return out;
}

std::string to_text(const PruneState& s) {
    const ordered_json out{{"round", s.round},
                           {"tuning", s.begun.has_value()},
                           {"over", s.over},
                           {"place", to_json(s.position)},
                           {"rounds", to_json(s.rounds)},
                           {"pending", s.begun ? begun_json(*s.begun) : ordered_json()},
                           {"weights", s.weights},
                           {"masked", s.masked},
                           {"best", s.best},
                           {"best_round", s.best_round},
                           {"step", s.step}};
    return json_line(out);
}

PruneState parse_prune_state(const std::string& text) {
    const ordered_json j = ordered_json::parse(text);
    PruneState s{.round = j.at("round").get<int>(),
                 .begun = {},
                 .position = fit_position_from(j.at("place")),
                 .over = j.at("over").get<bool>(),
                 .rounds = {},
                 .weights = j.at("weights").get<std::map<std::string, double>>(),
                 .masked = j.at("masked").get<Removal>(),
                 .best = j.at("best").get<double>(),
                 .best_round = j.at("best_round").get<int>(),
                 .step = j.at("step").get<int64_t>()};
    for (const ordered_json& r : j.at("rounds")) s.rounds.push_back(round_from(r));
    if (j.at("tuning").get<bool>()) s.begun = round_from(j.at("pending"));
    return s;
}

ScoresFile scores_in(const std::filesystem::path& file, const std::string& model_hash) {
    return read_scores(read_file(file, kMostBytes), file.string(), model_hash);
}

ordered_json scan_json(const ScanResult& r, const Baseline& dense, const Identity& identity, const Caller& caller) {
    ordered_json out{{"criterion", r.criterion},
                     {"attribute", r.attribute},
                     {"gap", kScanGap},
                     {"split", "val"},
                     {"dense", {{"balanced_accuracy", number_or_null(r.dense_accuracy)}}},
                     {"shares", r.shares},
                     {"sets", sets_json(r.sets, true)}};
    if (r.dense_gap) out["dense"]["gap"] = number_or_null(*r.dense_gap);
    out["title"] = "fairprune: what each layer bears, " + dense.model.network->spec.arch + " on " + dense.data.set.name;
    out["command"] = caller.command_line;
    out["environment"] = environment(caller.tool, caller.command_line);
    out["identity"] = identity_json(identity);
    return out;
}

void write_scan(const std::filesystem::path& file, const Identity& identity, const std::vector<ScannedSet>& sets) {
    const ordered_json document{{"identity", identity_json(identity)}, {"sets", sets_json(sets, false)}};
    write_file(file, document.dump(1) + "\n");
}

std::vector<ScannedSet> read_scan(const std::filesystem::path& file,
                                  const Identity& identity,
                                  const PruneObserver& observer) {
    const ordered_json document =
        parse_json(read_file(file, kMostBytes), file.string(), Exit::data, {.bytes = kMostBytes});
    FP_REQUIRE(document.is_object() && document.contains("sets"), Exit::data, file.string(), ": is no scan");
    check_identity(document, file.string(), identity, observer);
    std::vector<ScannedSet> out;
    for (const ordered_json& set : document.at("sets")) {
        ScannedSet& row = out.emplace_back();
        row.set = set.at("set").get<std::string>();
        row.channels = set.at("channels").get<int>();
        for (const ordered_json& p : set.at("points")) row.points.push_back(scan_point_from(p));
    }
    return out;
}

}  // namespace fp
