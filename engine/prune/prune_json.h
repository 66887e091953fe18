// The JSON of pruning: settings, rounds, and the state in a checkpoint.
#pragma once

#include "engine/prune/scan.h"
#include "engine/prune/scores_file.h"
#include "engine/train/train_json.h"

namespace fp {

void fields(maybe_const<Objective> auto& o, auto& member) {
    member("by", o.by);
    member("value", o.value);
}

// A round whose fine-tuning is not done has no "val" and what follows it in files of earlier versions.
void fields(maybe_const<Round> auto& r, auto& member) {
    member("round", r.number);
    member("attribute_weights", r.attribute_weights);
    member("removed", r.removed);
    member("channels", r.channels);
    member("parameters", r.parameters);
    member("macs", r.macs);
    member("cut", r.cut);
    member("recalibrated", r.recalibrated);
    member.if_there("val", r.val);
    member.if_there("objective", r.objective);
    member.if_there("within_max_drop", r.within_max_drop);
    member.if_there("enough_accuracy", r.enough_accuracy);
}

void fields(maybe_const<PruneState> auto& s, auto& member) {
    member("round", s.round);
    member("over", s.over);
    member("place", s.position);
    member("rounds", s.rounds);
    member("pending", s.begun);
    member("weights", s.weights);
    member("masked", s.masked);
    member("best", s.best);
    member("best_round", s.best_round);
    member("step", s.step);
    member("rows", s.rows);
}

void fields(maybe_const<ScanFigure> auto& f, auto& member) {
    member("value", f.value);
    member("change", f.change);
    member("p", f.p);
    member.if_there("p_holm", f.p_holm);
}

// A point that cannot be made has a "reason" and no figures.
void fields(maybe_const<ScanPoint> auto& p, auto& member) {
    member("share", p.share);
    member.if_any("reason", p.reason);
    if (!p.reason.empty()) return;
    member("removed", p.removed);
    member("parameters", p.parameters);
    member("macs", p.macs);
    member("balanced_accuracy", p.balanced_accuracy);
    member("gap", p.gap);
}

void fields(maybe_const<ScannedSet> auto& s, auto& member) {
    member("set", s.set);
    member("channels", s.channels);
    member("points", s.points);
}

nlohmann::ordered_json to_json(const PruneSettings&);

std::string to_text(const PruneState&);
PruneState parse_prune_state(const std::string&);

// The settings by name and value, with those of fine-tuning.
std::vector<Setting> settings_by_name(const PruneSettings&);

// Where a model of this round comes from, as JSON.
std::string provenance(const Baseline&, const PruneSettings&, const std::string& tool, int round);

// What the first round's scores depend on, as text: runs of equal keys share them.
std::string scores_key(const PruneSettings&);

// scan.json: {"criterion","attribute","gap","split":"val","dense":{"balanced_accuracy","gap"},"shares":["10%",...],
// "sets":[...],"data","command","environment","identity","skipped":Skipped}. While the scan runs,
// the file holds "identity" and "sets" alone.
nlohmann::ordered_json scan_json(const ScanResult&, const Baseline&, const Identity&, const Caller&);
void write_scan(const std::filesystem::path&, const Identity&, const std::vector<ScannedSet>&);
// The sets that are finished. Exit::model where they are of another identity; what may differ and does is told.
std::string to_text(const ScannedSet&);  // for another rank
ScannedSet parse_scanned_set(const std::string&);
std::vector<ScannedSet> read_scan(const std::filesystem::path&, const Identity&, const Observer&);

}  // namespace fp
