// The JSON of training: rows of metrics.jsonl and the position in a checkpoint.
#pragma once

#include "engine/io/fields.h"
#include "engine/run/import_weights.h"
#include "engine/run/run_folder.h"
#include "engine/train/fit.h"

namespace fp {

// {"samples","loss",METRIC...,"attributes":{NAME:{"groups":{GROUP:{"samples",METRIC...}},"gaps":{GAP}}}}; not
// estimable is null.
void write(nlohmann::ordered_json&, const Summary&);
void read(const JsonValue&, Summary&);

// {"seed","seen_by":[...],"note"}
nlohmann::ordered_json to_json(const PlaceboNote&);
// The settings that a report shows.
nlohmann::ordered_json to_json(const TrainingSettings&);
// All that decide a run's bits, by name: PREFIXlr, ...
std::vector<Setting> settings_by_name(const TrainingSettings&, const std::string& prefix = "");
std::vector<Setting> settings_by_name(const FitOptions&);
// An object's members, by name.
std::vector<Setting> settings_of(const nlohmann::ordered_json&, const std::string& prefix = "");

void fields(maybe_const<Plateau> auto& p, auto& member) {
    member.if_there("best", p.best);  // null: -infinity
    member("waited", p.waited);
    member("drops", p.drops);
}

void fields(maybe_const<FitPosition> auto& p, auto& member) {
    member("epoch", p.epoch);
    member("batch", p.batch);
    member.if_there("ranks", p.ranks);
    member("loss", p.sums.loss);
    member("penalty", p.sums.penalty);
    member.if_there("weighted", p.sums.weighted);
    member("samples", p.sums.samples);
    member("correct", p.sums.correct);
    member.if_there("best", p.best);
    member("best_epoch", p.best_epoch);
    member("plateau", p.plateau);
}

// Adds an epoch's row, which belongs to the checkpoint of this step; `round`: of pruning.
void append_to(Metrics&, const EpochResult&, int64_t step, std::optional<int> round = {});

// A model card's provenance: {"tool","data":{"name","split"},"placebo" where there is one}.
std::string provenance_of(const std::string& tool, const Dataset&, const TrainingSettings&);

// {"out":FOLDER,"epochs":[row...],"skipped":Skipped,"weights":ImportReport where weights were imported}.
std::string train_document(const std::string& out,
                           const Metrics&,
                           const ImageData&,
                           const std::optional<ImportReport>& imported);

std::string to_text(const FitPosition&);
FitPosition parse_fit_position(const std::string&);

}  // namespace fp
