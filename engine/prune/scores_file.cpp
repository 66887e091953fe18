#include "engine/prune/scores_file.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "engine/io/files.h"
#include "engine/io/json.h"

namespace fp {
namespace {

using nlohmann::ordered_json;

// The members of one object, each of the kind that is asked for; `where` names it in messages.
struct Members {
    const ordered_json& object;
    std::string where;

    const ordered_json& at(const char* key) const {
        FP_REQUIRE(object.is_object() && object.contains(key), Exit::data, where, ": has no `", key, "`");
        return object.at(key);
    }
    void need(bool right, const char* key, const char* kind) const {
        FP_REQUIRE(right, Exit::data, where, ": `", key, "` is not ", kind);
    }
    std::string word(const char* key) const {
        need(at(key).is_string(), key, "a string");
        return at(key).get<std::string>();
    }
    int64_t whole(const char* key) const {
        need(at(key).is_number_unsigned() && at(key).get<uint64_t>() <= uint64_t(INT64_MAX), key, "a whole number");
        return at(key).get<int64_t>();
    }
    double number(const char* key, const ordered_json& value) const {
        need(value.is_number() || value.is_null(), key, "a number or null");
        return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
    }
    double number(const char* key) const { return number(key, at(key)); }
    std::vector<double> numbers(const char* key) const {
        need(at(key).is_array(), key, "a list of numbers");
        std::vector<double> out;
        for (const ordered_json& value : at(key)) out.push_back(number(key, value));
        return out;
    }
};

NullScores null_of(const Members& m) {
    const Members null{m.at("null"), m.where + ": null"};
    return {.permutations = int(std::min<int64_t>(null.whole("permutations"), 1 << 20)),
            .mean = null.numbers("mean"),
            .sd = null.numbers("sd"),
            .z = null.numbers("z"),
            .p = null.numbers("p")};
}

LayerScores layer_of(const Members& m) {
    LayerScores r{.layer = m.word("layer"),
                  .tap = m.word("tap"),
                  .attribute = m.word("attribute"),
                  .definition = m.word("definition"),
                  .distance = m.word("distance"),
                  .temperature = m.number("temperature"),
                  .samples = m.whole("samples"),
                  .chance = m.number("chance"),
                  .score = m.numbers("score"),
                  .normalized = m.numbers("normalized"),
                  .reason = m.object.contains("reason") ? m.word("reason") : "",
                  .blocks = m.object.contains("blocks") ? m.whole("blocks") : 1,
                  .seconds = m.object.contains("seconds") ? m.number("seconds") : 0};
    if (m.object.contains("null")) {
        r.null = null_of(m);
        r.over_null = m.word("normalized_by") == "permutations";
        for (const auto* list : {&r.null.mean, &r.null.sd, &r.null.z, &r.null.p})
            FP_REQUIRE(list->size() == r.score.size(), Exit::data, m.where, ": ", printable(r.layer), " has ",
                       r.score.size(), " scores, ", list->size(), " of their null");
    }
    FP_REQUIRE(r.score.size() == r.normalized.size(), Exit::data, m.where, ": ", printable(r.layer), " has ",
               r.score.size(), " scores, ", r.normalized.size(), " normalized");
    return r;
}

}  // namespace

ordered_json to_json(const LayerScores& r) {
    ordered_json j{{"layer", r.layer},
                   {"tap", r.tap},
                   {"attribute", r.attribute},
                   {"definition", r.definition},
                   {"temperature", r.temperature},
                   {"distance", r.distance},
                   {"samples", r.samples},
                   {"blocks", r.blocks},
                   {"chance", r.chance},
                   {"score", r.score},
                   {"normalized", r.normalized},
                   {"normalized_by", r.over_null ? "permutations" : "chance"},
                   {"seconds", r.seconds}};
    if (r.null.permutations > 0)
        j["null"] = {{"permutations", r.null.permutations},
                     {"mean", r.null.mean},
                     {"sd", r.null.sd},
                     {"z", r.null.z},
                     {"p", r.null.p}};
    if (!r.reason.empty()) j["reason"] = r.reason;
    return j;
}

ordered_json scores_json(const ChannelScores& scores, const ScoreOptions& o, const std::string& model_hash) {
    ordered_json layers = ordered_json::array();
    for (const LayerScores& r : scores.layers) layers.push_back(to_json(r));
    ordered_json sets = ordered_json::object();
    for (const auto& [name, values] : scores.sets) sets[name] = values;
    ordered_json out{
        {"model", model_hash}, {"criterion", scores.criterion}, {"layers_asked", o.layers}, {"samples", o.samples},
        {"seed", o.seed},      {"protect", o.protect},          {"layers", layers},         {"sets", sets}};
    if (!scores.note.empty()) out["note"] = scores.note;
    return out;
}

ScoresFile read_scores(const std::string& text, const std::string& file_name, const std::string& model_hash) {
    const ordered_json document = parse_json(text, file_name, Exit::data);
    const Members top{document, file_name};
    const std::string model = top.word("model");
    FP_REQUIRE(model == model_hash, Exit::model, file_name, ": these are scores of another model (weights ",
               printable(model), ", this one ", model_hash, ")");
    ScoresFile out;
    out.criterion = top.word("criterion");
    const ordered_json& layers = top.at("layers");
    top.need(layers.is_array(), "layers", "a list");
    for (size_t i = 0; i < layers.size(); ++i)
        out.layers.push_back(layer_of({layers[i], file_name + ": layers[" + std::to_string(i) + "]"}));
    const bool by_layer = out.criterion == "snnl";
    FP_REQUIRE(!by_layer || !out.layers.empty(), Exit::data, file_name, ": no layer was scored");
    if (by_layer && !document.contains("sets")) return out;
    const ordered_json& sets = top.at("sets");
    top.need(sets.is_object() && (by_layer || !sets.empty()), "sets", "an object of lists");
    const Members members{sets, file_name + ": sets"};
    for (const auto& [name, values] : sets.items()) out.sets[name] = members.numbers(name.c_str());
    return out;
}

}  // namespace fp
