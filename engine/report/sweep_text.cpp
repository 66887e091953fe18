// A search and a scan as text and as CSV.
#include "engine/fairness/group_pareto.h"
#include "engine/io/json.h"
#include "engine/report/prune_report.h"
#include "engine/report/text_rows.h"

namespace fp {
namespace {

constexpr double kSignificant = 0.05;

std::string mean_and_sd(const std::optional<SeedSummary>& s) {
    if (!s) return "";
    return std::isnan(s->mean) || std::isnan(s->sd) ? number(s->mean) : fmt::format("{:.3f} +-{:.3f}", s->mean, s->sd);
}

std::string differences(const SweepResult& r) {
    std::string out;
    for (const SweptPoint& p : r.points)
        for (const AgainstControl& a : p.against)
            if (!std::isnan(a.gap.low))
                out += aside(fmt::format("{} - {}: {:+.3f} [{:+.3f}, {:+.3f}]{}", p.point.name, a.control, a.gap.mean,
                                         a.gap.low, a.gap.high, a.gap_p_holm <= kSignificant ? " *" : ""),
                             0);
    if (out.empty()) return "";
    return "\ndifferences of the gap [95 %]; *: p <= .05 after Holm's correction\n" + out;
}

// Of a point the means over its runs, on validation.
GroupPoint over_groups(const SweptPoint& p, const std::string& attribute) {
    if (p.runs.empty()) return {};
    GroupPoint mean{.worst = 0, .mean = 0};
    for (const SweepRun& run : p.runs) {
        GroupPoint one;
        for (const AttributeReport& a : run.result.kept().val.attributes)
            if (a.name == attribute) one = group_point(a, "balanced_accuracy");
        mean.worst += one.worst / double(p.runs.size());
        mean.mean += one.mean / double(p.runs.size());
    }
    return mean;
}

// The points that no other one beats for the worst group and on average over groups.
std::string group_pareto(const SweepResult& r) {
    std::vector<GroupPoint> points;
    for (const SweptPoint& p : r.points) points.push_back(over_groups(p, r.attribute));
    const std::vector<bool> beaten = dominated_over_groups(points);
    std::string out;
    for (size_t i = 0; i < points.size(); ++i)
        if (!beaten[i] && !std::isnan(points[i].worst))
            out += aside(fmt::format("{}: {}, {}", r.points[i].point.name, number(points[i].worst, 3),
                                     number(points[i].mean, 3)));
    if (out.empty()) return "";
    return "\n" +
           wrapped(
               fmt::format("validation, balanced accuracy of the worst group by {} and the mean over groups: no other "
                           "is as good in both and better in one",
                           r.attribute),
               0) +
           out;
}

// Where a run has such figures.
std::string test_cells(const SweepRun& run, const std::string& attribute) {
    if (!run.figures) return ",,";
    const TestFigures& t = *run.figures;
    return json_number(t.accuracy) + "," + json_number(t.balanced_accuracy) + "," +
           (t.gaps.empty() ? "" : fmt::format("{}", t.gap_by(attribute)));
}

// "+0.012*", with the star where it is more than noise.
std::string change_cell(const std::optional<ScanFigure>& f) {
    if (!f) return "- ";
    if (std::isnan(f->change)) return "n/a";
    return fmt::format("{:+.3f}{}", f->change, f->p_holm <= kSignificant ? "*" : " ");
}

std::string changes_table(const ScanResult& r, std::optional<ScanFigure> ScanPoint::*which) {
    std::string out = fmt::format("{:<30}", "set                  channels");
    for (const std::string& share : r.shares) out += fmt::format("{:>9} ", share);
    for (const ScannedSet& set : r.sets) {
        out = out.substr(0, out.find_last_not_of(' ') + 1) + fmt::format("\n{}{:>6}", cell(set.set, 24), set.channels);
        for (const ScanPoint& point : set.points) out += fmt::format("{:>10}", change_cell(point.*which));
    }
    return out.substr(0, out.find_last_not_of(' ') + 1) + "\n";
}

// Empty where there is no such figure, or where it is not estimable.
std::string csv_cells(const std::optional<ScanFigure>& f) {
    const auto cell = [](double v) { return std::isfinite(v) ? json_number(v) : ""; };
    return f ? cell(f->value) + "," + cell(f->p_holm) : ",";
}

}  // namespace

std::string to_text(const SweepResult& r) {
    std::string out =
        fmt::format("{:<35}{:>15}{:>15}{:>8}\n", "test: mean +- sd over seeds", "balanced acc.", kComparedGap, "time");
    for (size_t i = 0; i < r.points.size(); ++i) {
        const SweptPoint& p = r.points[i];
        out += fmt::format("{}{}{:>15}{:>15}{:>7.2f}x{}\n", int(i) == r.selected ? "*" : " ", cell(p.point.name, 34),
                           mean_and_sd(p.test_accuracy), mean_and_sd(p.test_gap), p.latency.value,
                           p.near_chance ? " -"
                           : p.dominated ? ""
                                         : " P");
    }
    out +=
        "time: measured, over the dense model's, its 95 % in pareto.csv. *: chosen\n"
        "P: no other is as accurate, as near in gap and as fast, and better in something\n"
        "-: not half as far above chance as the dense model, so its gap says nothing\n";
    if (r.selected < 0) out += "None was chosen: none kept enough balanced accuracy on validation.\n";
    out += differences(r) + group_pareto(r);
    return r.rankings.names.size() > 1 ? out + "\n" + to_text(r.rankings) : out;
}

std::string to_csv(const SweepResult& r) {
    std::string out =
        "name,criterion,amount,control,seed,parameters,macs,latency,latency_low,latency_high,val_balanced_accuracy,"
        "val_objective,test_accuracy,test_balanced_accuracy,test_gap,dominated,near_chance,selected\n";
    for (size_t i = 0; i < r.points.size(); ++i) {
        const SweptPoint& p = r.points[i];
        for (const SweepRun& run : p.runs) {
            const Round& round = run.result.kept();
            out += fmt::format(
                "\"{}\",{},{},{},{},{},{},{:.4f},{:.4f},{:.4f},{},{},{},{},{},{}\n", p.point.name,
                p.point.settings.score.criterion->name, to_string(p.point.settings.choose.amount), int(p.point.control),
                run.seed, round.parameters, json_number(round.macs), p.latency.value, p.latency.low, p.latency.high,
                json_number(round.val.metric("balanced_accuracy")), json_number(round.objective.value),
                test_cells(run, r.attribute), int(p.dominated), int(p.near_chance), int(int(i) == r.selected));
        }
    }
    return out;
}

// The lower triangle, in blocks of as many columns as fit.
std::string to_text(const RankTable& table) {
    constexpr size_t kCell = 6;
    const std::vector<std::string>& names = table.names;
    size_t width = 0;
    for (const std::string& name : names) width = std::max(width, name.size());
    width = std::min(width + 4, kLine / 2);
    const size_t columns = (kLine - width) / kCell;
    std::string out = "Kendall's tau-b of each two orders, mean over the sets of tied channels\n";
    for (size_t from = 0; from + 1 < names.size(); from += columns) {
        const size_t to = std::min(from + columns, names.size() - 1);
        out += std::string(width, ' ');
        for (size_t j = from; j < to; ++j) out += fmt::format("{:>{}}", j + 1, kCell);
        for (size_t i = from; i < names.size(); ++i) {
            const std::string name = cell(fmt::format("{:>2} {}", i + 1, names[i]), width);
            out += "\n" + name.substr(0, i == from ? name.find_last_not_of(' ') + 1 : name.npos);
            for (size_t j = from; j < std::min(i, to); ++j)
                out += fmt::format("{:>{}}", std::isnan(table.tau[i][j]) ? "-" : number(table.tau[i][j], 2), kCell);
        }
        out += "\n";
    }
    return out;
}

std::string to_text(const ScanResult& r) {
    std::string out =
        fmt::format("on validation, changes from the dense model's balanced accuracy of {:.3f}\n", r.dense_accuracy) +
        changes_table(r, &ScanPoint::balanced_accuracy);
    if (r.dense_gap && !std::isnan(*r.dense_gap))
        out += "\n" +
               aside(fmt::format("changes from its {} by {} of {:.3f}", kComparedGap, r.attribute, *r.dense_gap), 0) +
               changes_table(r, &ScanPoint::gap);
    return out + "\nnothing is tuned. *: p <= .05 after Holm's correction over the table\n-: not possible\n";
}

std::string to_csv(const ScanResult& r) {
    std::string out =
        "set,channels,share,removed,parameters,macs,balanced_accuracy,balanced_accuracy_p_holm,gap,gap_p_holm\n";
    for (const ScannedSet& set : r.sets)
        for (const ScanPoint& p : set.points)
            out += fmt::format(
                "{},{},{},{},{},{}\n", set.set, set.channels, p.share,
                p.reason.empty() ? fmt::format("{},{},{}", p.removed, p.parameters, json_number(p.macs)) : ",,",
                csv_cells(p.balanced_accuracy), csv_cells(p.gap));
    return out;
}

}  // namespace fp
