#include "tools/prune_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/fairness/compare.h"
#include "engine/fairness/evaluate.h"
#include "engine/io/files.h"
#include "engine/io/json.h"
#include "engine/measure/profile.h"
#include "engine/report/html.h"
#include "engine/report/render.h"
#include "engine/report/text_rows.h"

#include "engine/measure/stopwatch.h"
#include "tools/sweep_report.h"

namespace fp {
namespace {

using nlohmann::ordered_json;

ordered_json describe_model(const LoadedModel& m) {
    const int size = m.card.preprocessing.image_size;
    const Totals t = totals(layer_costs(*m.network, size));
    return {{"spec", to_json(m.network->spec)},
            {"image_size", size},
            {"parameters", t.parameters},
            {"macs", t.macs},
            {"activation_bytes", t.activation_bytes},
            {"provenance", m.card.provenance}};
}

// Convolutions and linear layers before and after; times are of one batch in evaluation.
ordered_json layer_table(const LoadedModel& dense, const LoadedModel& pruned, int batch_size) {
    const int size = dense.card.preprocessing.image_size;
    const ProfileOptions options{.batch_size = batch_size, .image_size = size, .mode = Mode::eval};
    const auto before = profile(*dense.network, options), after = profile(*pruned.network, options);
    ordered_json rows = ordered_json::array();
    for (size_t i = 0; i < before.size() && i < after.size(); ++i) {
        const LayerCost &a = before[i], &b = after[i];
        if (a.op != "conv2d" && a.op != "linear") continue;
        rows.push_back({{"layer", a.layer},
                        {"map", {a.height, a.width}},
                        {"channels", {a.out_channels, b.out_channels}},
                        {"parameters", {a.parameters, b.parameters}},
                        {"macs", {a.macs / batch_size, b.macs / batch_size}},
                        {"ms", {a.forward_seconds * 1e3, b.forward_seconds * 1e3}}});
    }
    return rows;
}

ordered_json speed_table(const LoadedModel& dense, const LoadedModel& pruned, int batch_size) {
    ordered_json rows = ordered_json::array();
    for (const int batch : {1, batch_size}) {
        const auto seconds = time_in_turns({dense.network.get(), pruned.network.get()},
                                           {.batch_size = batch,
                                            .image_size = dense.card.preprocessing.image_size,
                                            .seconds = 1.5});
        const TimingSummary a = summarize(seconds[0]), b = summarize(seconds[1]);
        const Ratio r = ratio_of(seconds[0], seconds[1]);
        rows.push_back({{"batch", batch},
                        {"dense",
                         {{"images_per_second", batch / a.median},
                          {"median_ms", a.median * 1e3},
                          {"p99_ms", a.p99 * 1e3}}},
                        {"pruned",
                         {{"images_per_second", batch / b.median},
                          {"median_ms", b.median * 1e3},
                          {"p99_ms", b.p99 * 1e3}}},
                        {"speedup", {{"value", r.value}, {"low", r.low}, {"high", r.high}}}});
        if (batch_size == 1) break;
    }
    return rows;
}

std::string number_or_null(const ordered_json& v, const char* format = "{:.4f}") {
    return v.is_null() ? "n/a" : fmt::format(fmt::runtime(format), v.get<double>());
}

double number_or(const ordered_json& v, double otherwise) {
    return v.is_null() ? otherwise : v.get<double>();
}

std::string interval(const ordered_json& m) {
    if (!m.contains("low") || m.at("low").is_null()) return "";
    return fmt::format("[{:.3f}, {:.3f}]", m.at("low").get<double>(), m.at("high").get<double>());
}

std::string fair_range(const ordered_json& g) {
    if (!g.contains("fair_low") || g.at("fair_low").is_null()) return "";
    return fmt::format("{:.3f}..{:.3f}", g.at("fair_low").get<double>(),
                       g.at("fair_high").get<double>());
}

}  // namespace

ordered_json report_json(const PruneReport& r, int batch_size) {
    ordered_json out{
        {"title", "fairprune: " + r.pruned.network->spec.arch + " on " + r.data},
        {"command", r.command},
        {"data", r.data},
        {"settings", r.settings},
        {"tuning", r.tuning},
        {"classes", r.dense.card.classes},
        {"models", {{"dense", describe_model(r.dense)}, {"pruned", describe_model(r.pruned)}}},
        {"best_round", r.best_round},
        {"rounds", r.rounds},
        {"layers", layer_table(r.dense, r.pruned, batch_size)},
        {"speed", speed_table(r.dense, r.pruned, batch_size)},
        {"curves", r.metrics},
        {"scores", r.scores},
        {"environment", r.environment}};
    if (r.test_dense && r.test_pruned) {
        out["test"]["dense"] = to_json(evaluate(*r.test_dense, r.attributes));
        out["test"]["pruned"] = to_json(evaluate(*r.test_pruned, r.attributes));
        out["test"]["comparison"] = to_json(compare(*r.test_pruned, *r.test_dense, r.attributes));
        out["verdict"] = verdict_of(out["test"]);
    }
    if (!r.sweep.is_null()) out["sweep"] = r.sweep;
    return out;
}

std::string verdict_of(const ordered_json& test) {
    const ordered_json& comparison = test.at("comparison");
    const double alpha = 1 - comparison.at("confidence").get<double>();
    const auto sentence = [&](const std::string& what, const ordered_json& d, bool less_is_better) {
        if (d.at("value").is_null() || d.at("p_holm").is_null())
            return fmt::format("{}: not estimable. ", what);
        const double change = d.at("value"), p = d.at("p_holm");
        const std::string figures =
            fmt::format("{:.3f} to {:.3f}, p = {:.3g} after correction",
                        d.at("other").get<double>(), d.at("model").get<double>(), p);
        if (p > alpha) return fmt::format("{}: no evidence of a change ({}). ", what, figures);
        return fmt::format("{}: {} ({}). ", what,
                           (change < 0) == less_is_better ? "better than the dense model"
                                                          : "worse than the dense model",
                           figures);
    };
    std::string out = sentence("Balanced accuracy", comparison.at("balanced_accuracy"), false);
    for (const auto& [attribute, a] : comparison.at("attributes").items()) {
        if (!a.at("gaps").contains("eodd_mean")) continue;
        out += sentence("Equalized-odds gap by " + attribute, a.at("gaps").at("eodd_mean"), true);
        const ordered_json& own = test.at("pruned").at("attributes").at(attribute).at("gaps");
        const ordered_json& gap = own.at("eodd_mean");
        if (!gap.at("value").is_null() && !gap.at("fair_high").is_null())
            out += gap.at("value").get<double>() <= gap.at("fair_high").get<double>()
                       ? fmt::format(
                             "What is left of it is within what a classifier that treats "
                             "the groups alike shows here (up to {:.3f}). ",
                             gap.at("fair_high").get<double>())
                       : fmt::format(
                             "What is left of it is more than a classifier that treats the "
                             "groups alike shows here (up to {:.3f}). ",
                             gap.at("fair_high").get<double>());
    }
    // A model that knows nothing treats everybody alike.
    const double accuracy = number_or(test.at("pruned").at("balanced_accuracy").at("value"), 1);
    if (accuracy < 1.25 / double(test.at("pruned").at("classes").size()))
        out +=
            "The pruned model hardly tells the classes apart, so a small gap says nothing for it. ";
    if (!out.empty()) out.pop_back();
    return out;
}

std::string report_text(const ordered_json& r) {
    std::string out;
    const auto& models = r.at("models");
    auto row = [&](const std::string& what, const std::string& a, const std::string& b,
                   const std::string& c) {
        out += fmt::format("{:<26}{:>18}{:>18}{:>18}\n", what, a, b, c);
    };
    row("", "dense", "pruned", "");
    const double pa = models["dense"]["parameters"], pb = models["pruned"]["parameters"];
    const double ma = models["dense"]["macs"], mb = models["pruned"]["macs"];
    row("parameters (M)", fmt::format("{:.3f}", pa * 1e-6), fmt::format("{:.3f}", pb * 1e-6),
        fmt::format("{:.1f} %", 100 * pb / pa));
    row("multiply-adds (M/image)", fmt::format("{:.1f}", ma * 1e-6),
        fmt::format("{:.1f}", mb * 1e-6), fmt::format("{:.1f} %", 100 * mb / ma));
    for (const auto& s : r.at("speed"))
        row(fmt::format("images/s, batch {}", s["batch"].get<int>()),
            number_or_null(s["dense"]["images_per_second"], "{:.0f}"),
            number_or_null(s["pruned"]["images_per_second"], "{:.0f}"),
            fmt::format("{:.2f}x [{:.2f},{:.2f}]", s["speedup"]["value"].get<double>(),
                        s["speedup"]["low"].get<double>(), s["speedup"]["high"].get<double>()));
    if (!r.contains("test")) return out + "no test split: nothing was evaluated\n";
    const auto &dense = r.at("test").at("dense"), &pruned = r.at("test").at("pruned");
    out += fmt::format("\ntest split, {} images                     value [95 % interval]\n",
                       dense.at("samples").get<int64_t>());
    for (const char* key : {"accuracy", "balanced_accuracy", "macro_f1", "macro_auc"})
        row(key, number_or_null(dense.at(key).at("value")) + "",
            number_or_null(pruned.at(key).at("value")), interval(pruned.at(key)));
    for (const auto& [attribute, a] : dense.at("attributes").items()) {
        const auto& b = pruned.at("attributes").at(attribute);
        out += fmt::format("\n{:<26}{:>18}{:>18}{:>18}\n", attribute, "", "", "fair range");
        for (const auto& [group, g] : a.at("groups").items())
            row(fmt::format("  {} (n={})", group, g.at("samples").get<int64_t>()),
                number_or_null(g.at("accuracy").at("value")),
                number_or_null(b.at("groups").at(group).at("accuracy").at("value")), "");
        for (const char* key : {"eopp0", "eopp1", "eodd", "eodd_mean", "dp"})
            if (a.at("gaps").contains(key))
                row(fmt::format("  {}", key), number_or_null(a.at("gaps").at(key).at("value")),
                    number_or_null(b.at("gaps").at(key).at("value")),
                    fair_range(b.at("gaps").at(key)));
    }
    if (r.contains("sweep")) out += "\n" + sweep_text(r.at("sweep"));
    if (r.contains("verdict")) out += "\n" + wrapped(r.at("verdict").get<std::string>());
    return out;
}

void write_report_html(const std::filesystem::path& path, const ordered_json& report) {
    write_file(path, report_html(report));
}

}  // namespace fp
