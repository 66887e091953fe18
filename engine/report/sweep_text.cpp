#include "engine/report/sweep_text.h"

#include <fmt/format.h>

#include <cmath>

#include "engine/io/json.h"

namespace fp {
namespace {

constexpr double kSignificant = 0.05;

std::string mean_and_sd(const std::optional<SeedSummary>& s) {
    if (!s) return "";
    if (std::isnan(s->mean)) return "n/a";
    return std::isnan(s->sd) ? fmt::format("{:.4f}", s->mean) : fmt::format("{:.3f} +-{:.3f}", s->mean, s->sd);
}

std::string point_row(const SweptPoint& p, bool selected) {
    return fmt::format("{}{:<34}{:>15}{:>15}{:>7.2f}x{}\n", selected ? "*" : " ", p.point.name,
                       mean_and_sd(p.test_accuracy), mean_and_sd(p.test_gap), p.latency.value, p.dominated ? "" : " P");
}

std::string differences(const SweepResult& r) {
    std::string out;
    for (const SweptPoint& p : r.points)
        for (const AgainstControl& a : p.against)
            if (!std::isnan(a.gap.low))
                out += fmt::format("{} - {}: {:+.3f} [{:+.3f}, {:+.3f}]{}\n", p.point.name, a.control, a.gap.mean,
                                   a.gap.low, a.gap.high, a.gap_p_holm <= kSignificant ? " *" : "");
    if (out.empty()) return "";
    return "\ndifferences of the gap [95 %]; *: p <= .05 after Holm's correction\n" + out;
}

// "", where a run has no such figure.
std::string test_cells(const SweepRun& run, const std::string& attribute) {
    if (!run.figures) return ",,";
    const TestFigures& t = *run.figures;
    return json_number(t.accuracy) + "," + json_number(t.balanced_accuracy) + "," +
           (t.gaps.empty() ? "" : fmt::format("{}", t.gap_by(attribute)));
}

}  // namespace

std::string to_text(const SweepResult& r) {
    std::string out =
        fmt::format("{:<35}{:>15}{:>15}{:>8}\n", "test: mean +- sd over seeds", "balanced acc.", kSweepGap, "time");
    for (size_t i = 0; i < r.points.size(); ++i) out += point_row(r.points[i], int(i) == r.selected);
    out +=
        "time: measured, over the dense model's, its 95 % in pareto.csv. *: chosen\n"
        "P: no other is as accurate, as fair and as fast, and better in something\n";
    if (r.selected < 0) out += "None was chosen: none kept enough balanced accuracy on validation.\n";
    out += differences(r);
    if (r.rankings.names.size() > 1) out += "\n" + to_text(r.rankings);
    return out;
}

std::string to_csv(const SweepResult& r) {
    std::string out =
        "name,criterion,amount,control,seed,parameters,macs,latency,latency_low,latency_high,val_"
        "balanced_accuracy,"
        "val_objective,test_accuracy,test_balanced_accuracy,test_gap,dominated,selected\n";
    for (size_t i = 0; i < r.points.size(); ++i) {
        const SweptPoint& p = r.points[i];
        for (const SweepRun& run : p.runs) {
            const Round& round = run.result.kept();
            out += fmt::format("\"{}\",{},{},{},{},{},{},{:.4f},{:.4f},{:.4f},{},{},{},{},{}\n", p.point.name,
                               p.point.settings.score.criterion->name, to_string(p.point.settings.choose.amount),
                               int(p.point.control), run.seed, round.parameters, json_number(round.macs),
                               p.latency.value, p.latency.low, p.latency.high,
                               json_number(round.val.metric("balanced_accuracy")), json_number(round.objective.value),
                               test_cells(run, r.attribute), int(p.dominated), int(int(i) == r.selected));
        }
    }
    return out;
}

std::string to_text(const RankTable& table) {
    constexpr size_t kLine = 80, kCell = 6;
    const std::vector<std::string>& names = table.names;
    size_t width = 0;
    for (const std::string& name : names) width = std::max(width, name.size());
    width = std::min(width + 4, kLine / 2);
    const size_t columns = (kLine - width) / kCell;
    std::string out = "how alike the orders are: Kendall's tau-b, mean over tied channels' sets\n";
    for (size_t from = 0; from + 1 < names.size(); from += columns) {
        const size_t to = std::min(from + columns, names.size() - 1);
        out += std::string(width, ' ');
        for (size_t j = from; j < to; ++j) out += fmt::format("{:>{}}", j + 1, kCell);
        out += "\n";
        for (size_t i = from; i < names.size(); ++i) {
            const std::string name = fmt::format("{:>2} {}", i + 1, names[i].substr(0, width - 4));
            out += i == from ? name : fmt::format("{:<{}}", name, width);
            for (size_t j = from; j < std::min(i, to); ++j) {
                const double tau = table.tau[i][j];
                out += std::isnan(tau) ? fmt::format("{:>{}}", "-", kCell) : fmt::format("{:>{}.2f}", tau, kCell);
            }
            out += "\n";
        }
    }
    return out;
}

}  // namespace fp
