#include <nlohmann/json.hpp>

#include "engine/fairness/gap_report.h"
#include "engine/io/fields.h"
#include "engine/io/files.h"
#include "engine/io/json.h"
#include "engine/prune/prune_json.h"
#include "engine/report/evaluation.h"
#include "engine/report/page.h"
#include "engine/report/prune_report.h"
#include "engine/report/scores_report.h"
#include "engine/report/sweep_words.h"
#include "engine/run/checkpoint_json.h"
#include "engine/train/train_json.h"

namespace fp {

using nlohmann::ordered_json;

// A convolution or linear layer, dense and pruned.
static void put_layer(
    JsonWriter out, const LayerCost& dense, const LayerCost& pruned, int batch, const std::optional<Roofline>& roof) {
    out("layer", dense.layer);
    out("map", std::vector{dense.height, dense.width});
    out("channels", std::vector{dense.out_channels, pruned.out_channels});
    out("parameters", std::vector{dense.parameters, pruned.parameters});
    out("macs", std::vector{dense.macs / batch, pruned.macs / batch});
    out("bytes", std::vector{dense.bytes, pruned.bytes});
    out("ms", std::vector{dense.forward_seconds * 1e3, pruned.forward_seconds * 1e3});
    const auto share = [&](const LayerCost& c) { return lower_bound(*roof, c).seconds / c.forward_seconds; };
    if (roof && dense.forward_seconds > 0 && pruned.forward_seconds > 0)
        out("share_of_roof", std::vector{share(dense), share(pruned)});
}

static void put_timing(JsonWriter out, const TimingSummary& seconds, int batch) {
    out("images_per_second", batch / seconds.median);
    out("median_ms", seconds.median * 1e3);
    out("p99_ms", seconds.p99 * 1e3);
}

static void fields(const SpeedPair& s, JsonWriter& out) {
    out("batch", s.batch);
    put_timing(inside(out, "dense"), s.dense, s.batch);
    put_timing(inside(out, "pruned"), s.pruned, s.batch);
    JsonWriter speedup = inside(out, "speedup");
    speedup("value", s.speedup.value);
    speedup("low", s.speedup.low);
    speedup("high", s.speedup.high);
}

static void fields(const ScoreStrip& s, JsonWriter& out) {
    out("layer", s.layer);
    out.object["attribute"] = nullptr;
    out("attribute", s.attribute);
    out("values", s.values);
    out("removed", s.removed);
}

static void fields(const SeedSummary& s, JsonWriter& out) {
    out("mean", s.mean);
    out("sd", s.sd);
    out("low", s.low);
    out("high", s.high);
    out("n", s.n);
}

static void fields(const GapSummary& g, JsonWriter& out) {
    out("rms", root(g.rms_squared.mean));
    out("low", root(g.rms_squared.low));
    out("high", root(g.rms_squared.high));
    out("rms_squared", g.rms_squared);
    out("fair_high", g.fair_high);
    out(kShownGap, g.shown);
}

static void fields(const GapDifference& g, JsonWriter& out) {
    fields(g.change, out);
    if (!g.tested()) return;
    out("p", g.change.p);
    out("p_holm", g.p_holm);
    out("least_change", g.least_change);
    out("fall_can_pass", g.fall_can_pass());
    out("verdict", words(g));
}

template <class Figure>
static void put_by_attribute(JsonWriter out, const std::vector<Figure>& figures) {
    for (const Figure& f : figures) out(f.attribute.c_str(), f);
}

static void fields(const TestFigures& t, JsonWriter& out) {
    out("accuracy", t.accuracy);
    out("balanced_accuracy", t.balanced_accuracy);
    out("macro_f1", t.macro_f1);
    if (t.gaps.empty()) return;
    JsonWriter gaps = inside(out, "gaps");
    for (const TestFigures::AttributeGap& g : t.gaps) {
        JsonWriter gap = inside(gaps, g.attribute.c_str());
        gap("rms", root(g.rms_squared));
        gap("rms_squared", g.rms_squared);
        gap("fair_high", g.fair_high);
        gap(kShownGap, g.shown);
    }
}

static void fields(const SweepRun& run, JsonWriter& out) {
    const Round& round = run.result.kept();
    out("seed", run.seed);
    out("folder", run.folder.string());
    out("best_round", run.result.best_round);
    out("parameters", round.parameters);
    out("macs", round.macs);
    JsonWriter val = inside(out, "val");
    val("balanced_accuracy", round.val.metric("balanced_accuracy"));
    val("objective", round.objective.value);
    out("test", run.figures);
}

static void fields(const SweptPoint& p, JsonWriter& out) {
    out("name", p.point.name);
    out("criterion", std::string(p.point.settings.score.criterion->name));
    out("amount", to_string(p.point.settings.choose.amount));
    out("control", p.point.control);
    JsonWriter val = inside(out, "val");
    val("balanced_accuracy", p.val_accuracy);
    val("objective", p.val_objective);
    out("latency", p.latency.value);
    out("latency_low", p.latency.low);
    out("latency_high", p.latency.high);
    out("runs", p.runs);
    if (p.test_accuracy) {
        JsonWriter test = inside(out, "test");
        test("balanced_accuracy", *p.test_accuracy);
        put_by_attribute(inside(test, "gaps"), p.test_gaps);
    }
    out("near_chance", p.near_chance);
    out("dominated", p.dominated);
    for (const AgainstControl& a : p.against) {
        JsonWriter against = inside(out, "against"), control = inside(against, a.control.c_str());
        put_by_attribute(inside(control, "gaps"), a.gaps);
        control("balanced_accuracy", a.balanced_accuracy);
    }
}

static void fields(const RankTable& table, JsonWriter& out) {
    out("names", table.names);
    out("tau", table.tau);
}

static void fields(const SweepResult& r, JsonWriter& out) {
    out("rule", r.rule);
    out("objective", r.objective);
    out("attributes", r.attributes);
    out("gap", kPrimaryKey);
    out("tunings", r.tunings);
    out("figures", figures_text(r.tunings));
    out.object["selected"] = nullptr;
    if (r.selected >= 0) out("selected", r.points[size_t(r.selected)].point.name);
    JsonWriter dense = inside(out, "dense");
    dense.object["val"] = to_json(r.dense_val);
    dense("objective", r.dense_objective);
    dense("test", r.dense_figures);
    out("least_accuracy", r.least_accuracy);
    JsonWriter tests = inside(out, "tests");
    tests("count", r.tests);
    tests("t_needed", r.t_needed);
    tests("text", tests_text(r));
    out("points", r.points);
    out("rankings", r.rankings);
}

static void put_model(JsonWriter out, const LoadedModel& m, const Totals& t) {
    out("spec", m.network->spec);
    out("image_size", m.card.preprocessing.image_size);
    out("parameters", t.parameters);
    out("macs", t.macs);
    out("activation_bytes", t.activation_bytes);
    out.object["provenance"] = ordered_json::parse(m.card.provenance);
}

static void put_scores(JsonWriter out, const LayerScores& l) {
    out("layer", l.layer);
    out("attribute", l.attribute);
    out("definition", l.definition);
    out("channels", int64_t(l.score.size()));
    out("samples", l.samples);
    out("chance", l.chance);
    out("lowest", lowest(l));
    out("median", median(l));
    out("seconds", l.seconds);
    out.if_any("reason", l.reason);
    if (!l.null) return;
    out("permutations", l.null->permutations);
    out("standard_error", standard_error(l));
    out("below_noise", below_noise(l));
}

static void fields(const RankAgreement& a, JsonWriter& out) {
    out("layer", a.layer);
    out("attribute", a.attribute);
    out("channels", a.channels);
    out("tau", a.tau);
    out("lowest", a.lowest);
    out("common", a.common);
    out("common_if_unrelated", a.common_if_unrelated());
}

static ordered_json report_json(const PruneReport& r, const Caller& caller) {
    const LoadedModel &dense = r.dense.model, &pruned = r.result.best;
    ordered_json document;
    JsonWriter out{make_object(document)};
    out("title", r.title());
    out("command", caller.command_line);
    out("data", r.dense.data.set.name);
    document["settings"] = to_json(r.settings);
    document["tuning"] = to_json(r.settings.tune);
    out("classes", dense.card.classes);
    JsonWriter models = inside(out, "models");
    put_model(inside(models, "dense"), dense, r.dense_totals);
    put_model(inside(models, "pruned"), pruned, r.pruned_totals);
    out("best_round", r.result.best_round);
    document["rounds"] = to_json(r.result.rounds);
    ordered_json& layers = make_list(document["layers"]);
    for (size_t i = 0; i < r.dense_layers.size(); ++i)
        if (const LayerCost& c = r.dense_layers[i]; c.op == "conv2d" || c.op == "linear")
            put_layer({make_object(add_element(layers))}, c, r.pruned_layers.at(i), r.dense.predict_options.batch_size,
                      r.roof);
    if (r.roof) {
        JsonWriter roof = inside(out, "roof");
        roof("flops", r.roof->flops);
        roof("bytes", r.roof->levels.back().bytes);
    }
    out("speed", r.speed);
    document["curves"] = read_rows(r.folder / "metrics.jsonl");
    out("scores", r.scores);
    document["environment"] = environment(caller, &r.dense.kernels());
    out("test_reads", r.test_reads);
    if (r.test) {
        ordered_json& test = document["test"];
        test["dense"] = to_json(r.test->dense);
        if (r.test->tuned) test["tuned"] = to_json(*r.test->tuned);
        test["pruned"] = to_json(r.test->pruned);
        test["comparison"] = to_json(r.test->comparison);
        out("verdict", r.verdict);
    }
    if (r.sweep) out("sweep", *r.sweep);
    out("skipped", skipped_of(r.dense.data));
    return document;
}

// The layers of report.json, a row per layer; before: of the dense model.
static std::string layers_csv(const ordered_json& layers) {
    std::string out =
        "layer,height,width,channels_before,channels,parameters_before,parameters,macs_before,macs,bytes_before,bytes,"
        "ms_before,ms\n";
    for (const ordered_json& layer : layers) {
        out += layer.at("layer").get<std::string>();
        for (const char* key : {"map", "channels", "parameters", "macs", "bytes", "ms"})
            for (const ordered_json& value : layer.at(key)) out += "," + json_line(value);
        out += "\n";
    }
    return out;
}

std::string publish(const PruneReport& r, const RunFolder& folder, const Caller& caller) {
    const ordered_json document = report_json(r, caller);
    folder.write("layers.csv", layers_csv(document.at("layers")));
    if (r.sweep) folder.write("pareto.csv", to_csv(*r.sweep));
    folder.write("report.json", json_text(document, 1));
    folder.write("report.html", report_page(document, r.gallery));
    folder.write("model-card.md", model_card(r, caller));
    return json_text(document, 2);
}

std::string publish(const Scan& scan, const Baseline& dense, const RunFolder& folder, const Caller& caller) {
    ordered_json document = scan_json(scan.result, dense, scan.identity, caller);
    document["title"] = "Sensitivity of each layer of " + dense.model.network->spec.arch + " to pruning, on " +
                        data_words(dense.data.set.name);
    folder.write("scan.json", json_text(document, 1));
    folder.write("scan.csv", to_csv(scan.result));
    folder.write("report.html", report_page(document));
    return json_text(document, 2);
}

std::string json_text(const ScoresReport& r) {
    return json_document([&](ordered_json& document) {
        JsonWriter out{make_object(document)};
        out("scores", r.file);
        out("criterion", r.scores.criterion);
        ordered_json& layers = make_list(document["layers"]);
        for (const LayerScores& l : r.scores.layers) put_scores({make_object(add_element(layers))}, l);
        if (!r.compared) return;
        JsonWriter compared = inside(out, "compared");
        compared("with", r.compared->file);
        compared("layers", r.compared->layers);
    });
}

}  // namespace fp
