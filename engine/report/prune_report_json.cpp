#include "engine/report/prune_report_json.h"

#include <nlohmann/json.hpp>

#include "engine/io/files.h"
#include "engine/io/json.h"
#include "engine/measure/layer_costs.h"
#include "engine/prune/prune_json.h"
#include "engine/report/evaluation_json.h"
#include "engine/report/model_card.h"
#include "engine/report/page.h"
#include "engine/report/scores_report.h"
#include "engine/report/sweep_text.h"
#include "engine/run/checkpoint_json.h"
#include "engine/train/train_json.h"

namespace fp {
namespace {

using nlohmann::ordered_json;

ordered_json model_json(const LoadedModel& m) {
    const int size = m.card.preprocessing.image_size;
    const Totals t = totals(layer_costs(*m.network, size));
    return {{"spec", to_json(m.network->spec)},
            {"image_size", size},
            {"parameters", t.parameters},
            {"macs", t.macs},
            {"activation_bytes", t.activation_bytes},
            {"provenance", ordered_json::parse(m.card.provenance)}};
}

ordered_json layers_json(const std::vector<LayerPair>& layers) {
    ordered_json out = ordered_json::array();
    for (const LayerPair& l : layers)
        out.push_back({{"layer", l.layer},
                       {"map", {l.height, l.width}},
                       {"channels", {l.dense.channels, l.pruned.channels}},
                       {"parameters", {l.dense.parameters, l.pruned.parameters}},
                       {"macs", {l.dense.macs, l.pruned.macs}},
                       {"ms", {l.dense.ms, l.pruned.ms}}});
    return out;
}

ordered_json timing_json(const TimingSummary& t, int batch) {
    return {{"images_per_second", batch / t.median}, {"median_ms", t.median * 1e3}, {"p99_ms", t.p99 * 1e3}};
}

ordered_json speed_json(const std::vector<SpeedPair>& speed) {
    ordered_json out = ordered_json::array();
    for (const SpeedPair& s : speed)
        out.push_back({{"batch", s.batch},
                       {"dense", timing_json(s.dense, s.batch)},
                       {"pruned", timing_json(s.pruned, s.batch)},
                       {"speedup", {{"value", s.speedup.value}, {"low", s.speedup.low}, {"high", s.speedup.high}}}});
    return out;
}

ordered_json strips_json(const std::vector<ScoreStrip>& strips) {
    ordered_json out = ordered_json::array();
    for (const ScoreStrip& s : strips)
        out.push_back({{"layer", s.layer},
                       {"attribute", s.attribute ? ordered_json(*s.attribute) : ordered_json()},
                       {"values", s.values},
                       {"removed", s.removed}});
    return out;
}

ordered_json to_json(const SeedSummary& s) {
    return {{"mean", number_or_null(s.mean)}, {"sd", number_or_null(s.sd)}, {"low", number_or_null(s.low)},
            {"high", number_or_null(s.high)}, {"p", number_or_null(s.p)},   {"n", s.n}};
}

ordered_json to_json(const TestFigures& t) {
    ordered_json out{{"accuracy", number_or_null(t.accuracy)},
                     {"balanced_accuracy", number_or_null(t.balanced_accuracy)},
                     {"macro_f1", number_or_null(t.macro_f1)}};
    for (const TestFigures::AttributeGap& g : t.gaps)
        out["gaps"][g.attribute] = {{kSweepGap, number_or_null(g.gap)},
                                    {"rms_squared", number_or_null(g.rms_squared)},
                                    {"fair_low", number_or_null(g.fair_low)},
                                    {"fair_high", number_or_null(g.fair_high)}};
    return out;
}

ordered_json run_json(const SweepRun& run) {
    const Round& round = run.result.kept();
    ordered_json out{{"seed", run.seed},
                     {"folder", run.folder.string()},
                     {"best_round", run.result.best_round},
                     {"parameters", round.parameters},
                     {"macs", round.macs},
                     {"val",
                      {{"balanced_accuracy", number_or_null(round.val.metric("balanced_accuracy"))},
                       {"objective", number_or_null(round.objective.value)}}}};
    if (run.figures) out["test"] = to_json(*run.figures);
    return out;
}

ordered_json against_json(const AgainstControl& a) {
    ordered_json gap = to_json(a.gap);
    gap["p_holm"] = number_or_null(a.gap_p_holm);
    return {{"gap", gap}, {"balanced_accuracy", to_json(a.balanced_accuracy)}};
}

ordered_json to_json(const SweptPoint& p) {
    ordered_json runs = ordered_json::array();
    for (const SweepRun& run : p.runs) runs.push_back(run_json(run));
    ordered_json out{{"name", p.point.name},
                     {"criterion", p.point.settings.score.criterion->name},
                     {"amount", to_string(p.point.settings.choose.amount)},
                     {"control", p.point.control},
                     {"val", {{"balanced_accuracy", to_json(p.val_accuracy)}, {"objective", to_json(p.val_objective)}}},
                     {"latency", p.latency.value},
                     {"latency_low", p.latency.low},
                     {"latency_high", p.latency.high},
                     {"runs", runs}};
    if (p.test_accuracy)
        out["test"] = {{"balanced_accuracy", to_json(*p.test_accuracy)}, {"gap", to_json(*p.test_gap)}};
    out["dominated"] = p.dominated;
    for (const AgainstControl& a : p.against) out["against"][a.control] = against_json(a);
    return out;
}

// The rows of the folder's metrics.jsonl.
ordered_json curves_json(const std::filesystem::path& folder) {
    const std::filesystem::path file = folder / "metrics.jsonl";
    const std::string text = read_file(file, uint64_t(1) << 30);
    ordered_json out = ordered_json::array();
    for (size_t at = 0, end; (end = text.find('\n', at)) != text.npos; at = end + 1)
        out.push_back(parse_json(text.substr(at, end - at), file.string(), Exit::data));
    return out;
}

}  // namespace

ordered_json to_json(const RankTable& table) {
    ordered_json rows = ordered_json::array();
    for (const std::vector<double>& tau : table.tau) {
        ordered_json& row = rows.emplace_back(ordered_json::array());
        for (const double t : tau) row.push_back(number_or_null(t));
    }
    return {{"names", table.names}, {"tau", rows}};
}

ordered_json to_json(const SweepResult& r) {
    ordered_json points = ordered_json::array();
    for (const SweptPoint& p : r.points) points.push_back(to_json(p));
    ordered_json out{
        {"rule", r.rule},
        {"objective", r.objective},
        {"attribute", r.attribute},
        {"gap", kSweepGap},
        {"selected", r.selected >= 0 ? ordered_json(r.points[size_t(r.selected)].point.name) : ordered_json(nullptr)},
        {"dense", {{"val", to_json(r.dense_val)}}},
        {"points", points},
        {"rankings", to_json(r.rankings)}};
    if (r.dense_figures) out["dense"]["test"] = to_json(*r.dense_figures);
    return out;
}

ordered_json report_json(const PruneReport& r, const Caller& caller) {
    const LoadedModel &dense = r.dense.model, &pruned = r.result.best;
    ordered_json out{{"title", "fairprune: " + pruned.network->spec.arch + " on " + r.dense.data.set.name},
                     {"command", caller.command_line},
                     {"data", r.dense.data.set.name},
                     {"settings", to_json(r.settings)},
                     {"tuning", to_json(r.settings.tune)},
                     {"classes", dense.card.classes},
                     {"models", {{"dense", model_json(dense)}, {"pruned", model_json(pruned)}}},
                     {"best_round", r.result.best_round},
                     {"rounds", to_json(r.result.rounds)},
                     {"layers", layers_json(r.layers)},
                     {"speed", speed_json(r.speed)},
                     {"curves", curves_json(r.folder)},
                     {"scores", strips_json(r.scores)},
                     {"environment", environment(caller.tool, caller.command_line)}};
    if (r.test) {
        out["test"] = {{"dense", to_json(r.test->dense)},
                       {"pruned", to_json(r.test->pruned)},
                       {"comparison", to_json(r.test->comparison)}};
        out["verdict"] = r.verdict;
    }
    if (r.sweep) out["sweep"] = to_json(*r.sweep);
    add_skipped(out, r.dense.data);
    return out;
}

std::string publish(const PruneReport& r, const RunFolder& folder, const Caller& caller) {
    const ordered_json document = report_json(r, caller);
    if (r.sweep) write_file(folder / "pareto.csv", to_csv(*r.sweep));
    write_file(folder / "report.json", document.dump(1) + "\n");
    write_file(folder / "report.html", report_page(document));
    write_file(folder / "model-card.md", model_card(document));
    return document.dump(2) + "\n";
}

std::string publish(const Scan& scan, const Baseline& dense, const RunFolder& folder, const Caller& caller) {
    const ordered_json document = scan_json(scan.result, dense, scan.identity, caller);
    write_file(folder / "scan.json", document.dump(1) + "\n");
    write_file(folder / "scan.csv", to_csv(scan.result));
    write_file(folder / "report.html", report_page(document));
    return document.dump(2) + "\n";
}

std::string json_text(const ScoresReport& r) {
    ordered_json out{{"scores", r.file}, {"criterion", r.criterion}, {"layers", ordered_json::array()}};
    for (const ScoredLayer& l : r.layers) {
        ordered_json row{{"layer", l.layer},
                         {"attribute", l.attribute},
                         {"definition", l.definition},
                         {"channels", l.channels},
                         {"samples", l.samples},
                         {"chance", number_or_null(l.chance)},
                         {"lowest", number_or_null(l.lowest)},
                         {"median", number_or_null(l.median)},
                         {"seconds", l.seconds}};
        if (!l.reason.empty()) row["reason"] = l.reason;
        if (l.noise) {
            row["permutations"] = l.noise->permutations;
            row["standard_error"] = number_or_null(l.noise->standard_error);
            row["below_noise"] = l.noise->below;
        }
        out["layers"].push_back(row);
    }
    if (!r.compared) return out.dump(2) + "\n";
    out["compared"] = {{"with", r.compared->file}, {"layers", ordered_json::array()}};
    for (const RankAgreement& a : r.compared->layers)
        out["compared"]["layers"].push_back({{"layer", a.layer},
                                             {"attribute", a.attribute},
                                             {"channels", a.channels},
                                             {"tau", number_or_null(a.tau)},
                                             {"lowest", a.lowest},
                                             {"common", a.common},
                                             {"common_if_unrelated", a.common_if_unrelated()}});
    return out.dump(2) + "\n";
}

}  // namespace fp
