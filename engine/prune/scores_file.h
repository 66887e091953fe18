// scores.json: the result of a scoring pass, from which channels can be cut without another pass. NaN is null in it.
#pragma once

#include <filesystem>

#include "engine/io/fields.h"
#include "engine/prune/criteria/criteria.h"
#include "engine/run/identity.h"

namespace fp {

void fields(maybe_const<NullScores> auto& n, auto& member) {
    member("permutations", n.permutations);
    member("mean", n.mean);
    member("sd", n.sd);
    member("z", n.z);
    member("p", n.p);
}

void fields(maybe_const<LayerScores> auto& r, auto& member) {
    member("layer", r.layer);
    member("tap", r.tap);
    member("attribute", r.attribute);
    member("definition", r.definition);
    member("temperature", r.temperature);
    member("distance", r.distance);
    member("samples", r.samples);
    member.if_there("blocks", r.blocks);
    member("chance", r.chance);
    member("score", r.score);
    member("normalized", r.normalized);
    member.if_there("normalized_by", r.normalized_by);
    member.if_there("seconds", r.seconds);
    member("null", r.null);
    member.if_any("reason", r.reason);
}

// {"model","criterion","layers_asked","samples","seed","protect",OTHER SETTINGS...,"layers":[...],"sets":{...},"noise":{...},"note"}:
// those of Criterion::settings, and of the calibration images where the criterion reads them.
std::string scores_text(const ChannelScores&, const ScoreOptions&, const std::string& model_hash);

struct ScoresFile {
    std::string criterion;
    std::vector<LayerScores> layers;           // of snnl: at least one
    SetScores sets;                            // of the others: at least one
    std::map<std::string, double> noise = {};  // ChannelScores::noise
    std::string layers_asked = {};
    std::vector<Setting> settings = {};  // that the file names
    std::string note = {};               // ChannelScores::note
};

// Exit::data for a file that is not such a document, Exit::model for scores of another model.
ScoresFile read_scores(const std::string& text, const std::string& file_name, const std::string& model_hash);
ScoresFile scores_in(const std::filesystem::path&, const std::string& model_hash);

// Exit::usage where the scores are of another criterion, Exit::model where they were made with other settings that
// decide them: "temperature was 1.0, is 0.5".
void check_settings(const ScoresFile&, const ScoreOptions&);

// The settings of scoring, by the names that the file and reports have for them.
nlohmann::ordered_json to_json(const ScoreOptions&);

}  // namespace fp
