#include "tools/sweep_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/fairness/evaluate.h"
#include "engine/fairness/seeds.h"
#include "engine/io/json.h"
#include "engine/prune/pareto.h"
#include "tools/figures.h"

namespace fp {
namespace {

using nlohmann::ordered_json;

constexpr int kRmsResamples = 400;
const char* const kGap = "eodd_mean";

ordered_json to_json(const SeedSummary& s) {
    return {{"mean", number_or_null(s.mean)}, {"sd", number_or_null(s.sd)},
            {"low", number_or_null(s.low)},   {"high", number_or_null(s.high)},
            {"p", number_or_null(s.p)},       {"n", s.n}};
}

// Accuracy and gaps of one model on the test split.
ordered_json test_figures(const Predictions& p, const std::vector<std::string>& attributes) {
    const Report r = evaluate(p, attributes, {.resamples = kRmsResamples});
    ordered_json out{{"accuracy", number_or_null(r.metric("accuracy").value)},
                     {"balanced_accuracy", number_or_null(r.metric("balanced_accuracy").value)},
                     {"macro_f1", number_or_null(r.metric("macro_f1").value)}};
    for (const AttributeReport& a : r.attributes) {
        if (!a.no_gaps.empty()) continue;
        const Gap& g = a.gap(kGap);
        out["gaps"][a.name] = {{kGap, number_or_null(g.value)},
                               {"rms_squared", number_or_null(g.rms_squared)},
                               {"fair_low", number_or_null(g.fair_low)},
                               {"fair_high", number_or_null(g.fair_high)}};
    }
    return out;
}

double gap_of(const ordered_json& figures, const std::string& attribute) {
    constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
    if (!figures.contains("gaps") || !figures.at("gaps").contains(attribute)) return kNaN;
    const ordered_json& v = figures.at("gaps").at(attribute).at(kGap);
    return v.is_null() ? kNaN : v.get<double>();
}

// Adds "p_holm" to every difference of a gap from a control's: p corrected for how many there are.
void correct_for_many(ordered_json& points) {
    std::vector<ordered_json*> gaps;
    for (ordered_json& point : points) {
        if (!point.contains("against")) continue;
        for (auto& [control, difference] : point.at("against").items())
            gaps.push_back(&difference.at("gap"));
    }
    add_p_holm(gaps);
}

const ordered_json& kept_round(const PruneOutcome& o) {
    return o.rounds.at(o.best_round > 0 ? size_t(o.best_round - 1) : o.rounds.size() - 1);
}

// The gaps of one point over seeds, and how they differ from a control's.
struct TestSeries {
    std::vector<double> accuracy, gap;
};

}  // namespace

ordered_json sweep_json(const std::vector<SweepResult>& results,
                        const PruneContext& context,
                        const std::optional<Predictions>& dense_test,
                        const std::string& objective,
                        double max_drop,
                        int selected,
                        const std::vector<Ranking>& rankings) {
    const std::vector<std::string> attributes = context.attributes();
    const std::string attribute = attributes.empty() ? "" : attributes[0];
    ordered_json points = ordered_json::array();
    std::map<std::string, TestSeries> series;
    std::vector<ParetoFigures> pareto;
    for (const SweepResult& r : results) {
        ordered_json runs = ordered_json::array();
        std::vector<double> val_accuracy, val_objective;
        TestSeries& test = series[r.point.name];
        for (const SweepRun& run : r.runs) {
            const ordered_json& round = kept_round(run.outcome);
            val_accuracy.push_back(round.at("val").at("balanced_accuracy").get<double>());
            val_objective.push_back(value_or_nan(round.at("objective").at("value")));
            runs.push_back({{"seed", run.seed},
                            {"folder", run_path(r.point, run.seed).string()},
                            {"best_round", run.outcome.best_round},
                            {"parameters", round.at("parameters")},
                            {"macs", round.at("macs")},
                            {"val",
                             {{"balanced_accuracy", number_or_null(val_accuracy.back())},
                              {"objective", number_or_null(val_objective.back())}}}});
            if (!run.test) continue;
            const ordered_json figures = test_figures(*run.test, attributes);
            test.accuracy.push_back(value_or_nan(figures.at("balanced_accuracy")));
            test.gap.push_back(gap_of(figures, attribute));
            runs.back()["test"] = figures;
        }
        const SeedSummary accuracy =
                              summarize_seeds(test.accuracy.empty() ? val_accuracy : test.accuracy),
                          gap = summarize_seeds(test.gap);
        pareto.push_back({.accuracy = accuracy.mean,
                          .gap = attribute.empty() ? 0 : gap.mean,
                          .latency_low = r.latency.low,
                          .latency_high = r.latency.high});
        points.push_back({{"name", r.point.name},
                          {"criterion", r.point.pruning.criterion},
                          {"amount", r.point.pruning.amount},
                          {"control", r.point.control},
                          {"val",
                           {{"balanced_accuracy", to_json(summarize_seeds(val_accuracy))},
                            {"objective", to_json(summarize_seeds(val_objective))}}},
                          {"latency", r.latency.value},
                          {"latency_low", r.latency.low},
                          {"latency_high", r.latency.high},
                          {"runs", runs}});
        if (!test.accuracy.empty())
            points.back()["test"] = {{"balanced_accuracy", to_json(accuracy)},
                                     {"gap", to_json(gap)}};
    }
    const std::vector<bool> beaten = dominated(pareto);
    for (size_t i = 0; i < results.size(); ++i) {
        points[i]["dominated"] = bool(beaten[i]);
        if (results[i].point.control) continue;
        for (const std::string& control :
             {kDenseControl, random_control(results[i].point.pruning.amount)}) {
            const auto found = series.find(control);
            const TestSeries& own = series.at(results[i].point.name);
            if (found == series.end() || found->second.gap.size() != own.gap.size()) continue;
            points[i]["against"][control] = {
                {"gap", to_json(paired_difference(own.gap, found->second.gap))},
                {"balanced_accuracy",
                 to_json(paired_difference(own.accuracy, found->second.accuracy))}};
        }
    }
    correct_for_many(points);
    ordered_json out{{"rule", selection_rule(objective, max_drop, int(results.at(0).runs.size()))},
                     {"objective", objective},
                     {"attribute", attribute},
                     {"gap", kGap},
                     {"selected", selected >= 0 ? ordered_json(results[size_t(selected)].point.name)
                                                : ordered_json(nullptr)},
                     {"dense", {{"val", context.dense_val}}},
                     {"points", points},
                     {"rankings", rankings_json(rankings)}};
    if (dense_test) out["dense"]["test"] = test_figures(*dense_test, attributes);
    return out;
}

namespace {

std::string mean_and_sd(const ordered_json& s, const char* key) {
    if (!s.contains("test")) return "";
    const ordered_json& v = s.at("test").at(key);
    if (v.at("mean").is_null()) return "n/a";
    return v.at("sd").is_null() ? fmt::format("{:.4f}", v.at("mean").get<double>())
                                : fmt::format("{:.3f} +-{:.3f}", v.at("mean").get<double>(),
                                              v.at("sd").get<double>());
}

}  // namespace

std::string sweep_text(const ordered_json& sweep) {
    std::string out = fmt::format("{:<35}{:>15}{:>15}{:>8}\n", "test: mean +- sd over seeds",
                                  "balanced acc.", sweep.at("gap").get<std::string>(), "time");
    for (const auto& p : sweep.at("points"))
        out += fmt::format("{}{:<34}{:>15}{:>15}{:>7.2f}x{}\n",
                           p.at("name") == sweep.at("selected") ? "*" : " ",
                           p.at("name").get<std::string>(), mean_and_sd(p, "balanced_accuracy"),
                           mean_and_sd(p, "gap"), p.at("latency").get<double>(),
                           p.at("dominated").get<bool>() ? "" : " P");
    out +=
        "time: measured, over the dense model's, its 95 % in pareto.csv. *: chosen\n"
        "P: no other is as accurate, as fair and as fast, and better in something\n";
    if (sweep.at("selected").is_null())
        out += "None was chosen: none kept enough balanced accuracy on validation.\n";
    std::string differences;
    for (const auto& p : sweep.at("points")) {
        if (!p.contains("against")) continue;
        for (const auto& [control, d] : p.at("against").items()) {
            const auto& g = d.at("gap");
            if (g.at("low").is_null()) continue;
            differences += fmt::format(
                "{} - {}: {:+.3f} [{:+.3f}, {:+.3f}]{}\n", p.at("name").get<std::string>(), control,
                g.at("mean").get<double>(), g.at("low").get<double>(), g.at("high").get<double>(),
                value_or_nan(g.at("p_holm")) <= 0.05 ? " *" : "");
        }
    }
    if (!differences.empty())
        out +=
            "\ndifferences of the gap [95 %]; *: p <= .05 after Holm's correction\n" + differences;
    if (sweep.at("rankings").at("names").size() > 1)
        out += "\n" + rankings_text(sweep.at("rankings"));
    return out;
}

std::string sweep_csv(const ordered_json& sweep) {
    std::string out =
        "name,criterion,amount,control,seed,parameters,macs,latency,latency_low,latency_high,val_"
        "balanced_accuracy,"
        "val_objective,test_accuracy,test_balanced_accuracy,test_gap,dominated,selected\n";
    const std::string attribute = sweep.at("attribute").get<std::string>();
    for (const auto& p : sweep.at("points"))
        for (const auto& r : p.at("runs")) {
            const bool tested = r.contains("test");
            out += fmt::format(
                "\"{}\",{},{},{},{},{},{},{:.4f},{:.4f},{:.4f},{},{},{},{},{},{},{}\n",
                p.at("name").get<std::string>(), p.at("criterion").get<std::string>(),
                p.at("amount").get<std::string>(), int(p.at("control").get<bool>()),
                r.at("seed").get<uint64_t>(), r.at("parameters").dump(), r.at("macs").dump(),
                p.at("latency").get<double>(), p.at("latency_low").get<double>(),
                p.at("latency_high").get<double>(), r.at("val").at("balanced_accuracy").dump(),
                r.at("val").at("objective").dump(),
                tested ? r.at("test").at("accuracy").dump() : "",
                tested ? r.at("test").at("balanced_accuracy").dump() : "",
                tested && r.at("test").contains("gaps")
                    ? fmt::format("{}", gap_of(r.at("test"), attribute))
                    : "",
                int(p.at("dominated").get<bool>()), int(p.at("name") == sweep.at("selected")));
        }
    return out;
}

}  // namespace fp
