#include "engine/prune/scores_file.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/io/files.h"
#include "engine/io/json.h"
#include "engine/train/train_json.h"

namespace fp {
namespace {

using nlohmann::ordered_json;

constexpr uint64_t kMostScoreBytes = uint64_t(1) << 30;
constexpr const char* kPlaceboKey = "placebo";  // named by scores of placebo groups alone

// The settings that decide the scores, but for the seed that images are drawn by: fine-tuning may have another.
ordered_json decisive(const ScoreOptions& o) {
    const Criterion& criterion = *o.criterion;
    ordered_json all = to_json(o), out = ordered_json::object();
    all["seed"] = o.seed;
    std::string names(criterion.settings);
    if (criterion.needs > Needs::weights) {
        names += " attributes samples";
        all["attributes"] = weighted(o);
        if (o.placebo && !weighted(o).empty()) out[kPlaceboKey] = *o.placebo;
    }
    std::istringstream words(names);
    for (std::string name; words >> name;) out[name] = all.at(name);
    return out;
}

void check_layer(const LayerScores& r, const std::string& where) {
    const size_t scores = r.score.size();
    FP_REQUIRE(scores == r.normalized.size(), Exit::data, where, ": ", printable(r.layer), " has ", scores, " scores, ",
               r.normalized.size(), " normalized");
    FP_REQUIRE(r.samples >= 0 && r.blocks >= 0, Exit::data, where, ": ", printable(r.layer), " has ", r.samples,
               " samples, ", r.blocks, " blocks");
    if (!r.null) return;
    FP_REQUIRE(r.null->permutations > 0, Exit::data, where, ": null: ", r.null->permutations, " permutations");
    for (const auto* list : {&r.null->mean, &r.null->sd, &r.null->z, &r.null->p})
        FP_REQUIRE(list->size() == scores, Exit::data, where, ": ", printable(r.layer), " has ", scores, " scores, ",
                   list->size(), " of their null");
}

}  // namespace

ordered_json to_json(const ScoreOptions& o) {
    ordered_json out{{"criterion", o.criterion->name},
                     {"definition", name(o.snnl.definition)},
                     {"distance", name(o.snnl.distance)},
                     {"temperature", o.snnl.temperature},
                     {"tap", name(o.tap)},
                     {"samples", o.samples},
                     {"centre", o.snnl.centred},
                     {"given_class", o.snnl.given_class},
                     {"batches", block_of(o)},
                     {"permutations", o.snnl.permutations},
                     {"protect", o.protect},
                     {"beta", o.fairprune.beta},
                     {"protected", o.fairprune.protected_group},
                     {"batch_size", o.predict.batch_size}};
    if (o.criterion->name != "masks") return out;
    const MaskOptions& m = o.masks;
    out["attribute_weights"] = o.attributes;
    out["masks"] = {{"epochs", m.epochs},           {"rate", m.rate},
                    {"sparsity", m.sparsity},       {"cost", m.cost->name},
                    {"snnl_weight", m.snnl_weight}, {"sampler", m.sampler->name},
                    {"augment", m.augment}};
    return out;
}

std::string scores_text(const ChannelScores& scores, const ScoreOptions& o, const std::string& model_hash) {
    ordered_json out{{"model", model_hash},      {"criterion", scores.criterion},
                     {"layers_asked", o.layers}, {"samples", o.samples},
                     {"seed", o.seed},           {"protect", o.protect}};
    out.update(decisive(o));
    write(out["layers"], scores.layers);
    write(out["sets"], scores.sets);
    if (!scores.noise.empty()) write(out["noise"], scores.noise);
    if (!scores.note.empty()) out["note"] = scores.note;
    return json_text(out, 1);
}

ScoresFile read_scores(const std::string& text, const std::string& file_name, const std::string& model_hash) {
    const ordered_json document = parse_json(text, file_name, Exit::data);
    const JsonValue top{document, file_name};
    const auto model = from_json<std::string>(top.at("model"));
    FP_REQUIRE(model == model_hash, Exit::model, file_name, ": these are scores of another model (weights ",
               printable(model), ", this one ", model_hash, ")");
    ScoresFile out{.criterion = from_json<std::string>(top.at("criterion")),
                   .layers = from_json<std::vector<LayerScores>>(top.at("layers")),
                   .sets = {}};
    for (size_t i = 0; i < out.layers.size(); ++i) check_layer(out.layers[i], fp::text(file_name, ": layers[", i, "]"));
    const bool by_layer = out.criterion == "snnl";
    FP_REQUIRE(!by_layer || !out.layers.empty(), Exit::data, file_name, ": no layer was scored");
    if (!by_layer || top.has("sets")) read(top.at("sets"), out.sets);
    if (top.has("noise")) read(top.at("noise"), out.noise);
    for (const auto& [set, noise] : out.noise)
        FP_REQUIRE(noise >= 0, Exit::data, file_name, ": noise of ", printable(set), " is ", noise, ", below 0");
    FP_REQUIRE(by_layer || !out.sets.empty(), Exit::data, file_name, ": no set was scored");
    if (top.has("layers_asked")) read(top.at("layers_asked"), out.layers_asked);
    out.settings = settings_of(document);
    if (top.has("note")) read(top.at("note"), out.note);
    return out;
}

ScoresFile scores_in(const std::filesystem::path& file, const std::string& model_hash) {
    return read_scores(read_file(file, kMostScoreBytes), file.string(), model_hash);
}

void check_settings(const ScoresFile& file, const ScoreOptions& o) {
    FP_REQUIRE(file.criterion == o.criterion->name, Exit::usage, "--scores: these are scores by ",
               printable(file.criterion), ", --criterion is ", o.criterion);
    std::vector<Setting> was, is;
    const std::vector<Setting> all = settings_of(decisive(o));
    for (const Setting& now : all) {
        // Earlier versions named fewer settings. A weight of the class's score may change, if there is such a score.
        const auto saved = std::ranges::find(file.settings, now.name, &Setting::name);
        if (saved == file.settings.end()) continue;
        if (now.name == kPlaceboKey) continue;
        if (now.name == "protect" && (o.protect == 0 || saved->value != "0.0")) continue;
        was.push_back(*saved);
        is.push_back(now);
    }
    const auto is_placebo = [](const Setting& s) { return s.name == kPlaceboKey; };
    std::ranges::copy_if(file.settings, std::back_inserter(was), is_placebo);
    std::ranges::copy_if(all, std::back_inserter(is), is_placebo);
    const std::string other = difference(was, is);
    FP_REQUIRE(other.empty(), Exit::model, "--scores: they were made with other settings: ", other);
}

}  // namespace fp
