// A search and a scan as text and as CSV.
#include "engine/fairness/gap_report.h"
#include "engine/fairness/group_pareto.h"
#include "engine/io/json.h"
#include "engine/report/prune_report.h"
#include "engine/report/sweep_words.h"
#include "engine/report/text_rows.h"

namespace fp {
namespace {

constexpr double kSignificant = 0.05;

std::string mean_and_sd(const std::optional<SeedSummary>& s) {
    if (!s) return "";
    return std::isnan(s->mean) || std::isnan(s->sd) ? number(s->mean) : fmt::format("{:.3f} +-{:.3f}", s->mean, s->sd);
}

// Of an rms as an rms, whose value is its negative square.
std::string objective_text(const SeedSummary& s, const std::string& objective) {
    if (!objective.starts_with("rms:") || std::isnan(s.mean)) return mean_and_sd(s);
    return s.mean > 0 ? "below noise" : number(root(-s.mean), 4);
}

std::string validation_table(const SweepResult& r) {
    std::string out = fmt::format("{}{:>15} {:>17} {:>8}\n", cell("on validation", 35), "balanced acc.",
                                  cell(r.objective, 17), "time");
    for (size_t i = 0; i < r.points.size(); ++i) {
        const SweptPoint& p = r.points[i];
        out += fmt::format("{}{}{:>15} {:>17} {:>7.2f}x{}\n", int(i) == r.selected ? "*" : " ", cell(p.point.name, 34),
                           mean_and_sd(p.val_accuracy), objective_text(p.val_objective, r.objective), p.latency.value,
                           p.near_chance ? " -"
                           : p.dominated ? ""
                                         : " P");
    }
    return out +
           "time: measured, over the dense model's, its 95 % in pareto.csv. *: chosen\n"
           "P: no other is as accurate, as good in objective and as fast, and better in one\n"
           "-: not half as far above chance as the dense model, so its gap says nothing\n";
}

std::string test_table(const SweepResult& r, const std::string& attribute) {
    std::string out =
        "\n" + aside(fmt::format("on test{}", attribute.empty() ? "" : ", by " + attribute), 0) +
        fmt::format("{}{:>15}", cell("", 35), "balanced acc.") +
        (attribute.empty() ? "\n" : fmt::format("{:>10}{:>9}{:>11}\n", kPrimaryKey, "fair to", kShownGap));
    for (size_t i = 0; i < r.points.size(); ++i) {
        const SweptPoint& p = r.points[i];
        const auto gap = std::ranges::find(p.test_gaps, attribute, &GapSummary::attribute);
        std::string line = fmt::format("{}{}{:>15}", int(i) == r.selected ? "*" : " ", cell(p.point.name, 34),
                                       mean_and_sd(p.test_accuracy));
        if (gap != p.test_gaps.end())
            line += fmt::format("{:>10}{:>9}{:>11}", number(root(gap->rms_squared.mean), 3), number(gap->fair_high, 3),
                                number(gap->shown, 3));
        out += line + "\n";
    }
    return out;
}

std::string test_tables(const SweepResult& r) {
    if (!r.dense_figures) return "";
    std::string out;
    for (const std::string& a : r.attributes.empty() ? std::vector<std::string>{""} : r.attributes)
        out += test_table(r, a);
    if (!r.attributes.empty())
        out += wrapped(
            fmt::format("{}: the root of the mean of rms^2, 0 below noise, is the gap that is tested; {} is shown",
                        kPrimaryKey, kShownGap),
            0);
    return out;
}

std::string chosen_differences(const SweepResult& r) {
    if (r.selected < 0) return "";
    const SweptPoint& chosen = r.points[size_t(r.selected)];
    std::string out;
    for (const AgainstControl& a : chosen.against)
        for (const GapDifference& g : a.gaps) {
            const std::string tested =
                g.tested() ? fmt::format(", p {} (Holm {}): {}", number(g.change.p, 3), number(g.p_holm, 3), words(g))
                           : "";
            out += item(fmt::format("rms^2 ({}) by {}, minus \"{}\": {:+.4f} {}{}", kPrimaryKey, g.attribute, a.control,
                                    g.change.mean, range(g.change.low, g.change.high), tested));
        }
    if (out.empty()) return "";
    return "\n" +
           wrapped(fmt::format("The chosen {} minus its controls on test, 95 % over {}", chosen.point.name,
                               tunings_text(r.tunings)),
                   0) +
           out + wrapped(tests_text(r), 0);
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
    if (r.attributes.empty()) return "";
    const std::string& attribute = r.attributes.front();
    std::vector<GroupPoint> points;
    for (const SweptPoint& p : r.points) points.push_back(over_groups(p, attribute));
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
                           attribute),
               0) +
           out;
}

std::string csv_cell(double v) { return std::isfinite(v) ? json_number(v) : ""; }

// Where a run has such figures.
std::string test_cells(const SweepRun& run, const std::vector<std::string>& attributes) {
    std::string out =
        run.figures ? json_number(run.figures->accuracy) + "," + json_number(run.figures->balanced_accuracy) : ",";
    for (const std::string& a : attributes) {
        const TestFigures::AttributeGap* gap = run.figures ? run.figures->gap_by(a) : nullptr;
        out += gap ? "," + csv_cell(gap->rms_squared) + "," + csv_cell(gap->shown) : ",,";
    }
    return out;
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
    return f ? csv_cell(f->value) + "," + csv_cell(f->p_holm) : ",";
}

}  // namespace

std::string to_text(const SweepResult& r) {
    std::string out =
        wrapped(fmt::format("Figures: {}{}", figures_text(r.tunings), r.tunings > 1 ? "; +-: sd" : ""), 0) +
        validation_table(r);
    if (r.selected < 0) out += "None was chosen: none kept enough balanced accuracy on validation.\n";
    out += test_tables(r) + chosen_differences(r) + group_pareto(r);
    return r.rankings.names.size() > 1 ? out + "\n" + to_text(r.rankings) : out;
}

std::string to_csv(const SweepResult& r) {
    std::string out =
        "name,criterion,amount,control,seed,parameters,macs,latency,latency_low,latency_high,val_balanced_accuracy,"
        "val_objective,test_accuracy,test_balanced_accuracy";
    for (const std::string& a : r.attributes)
        out += fmt::format(",\"test_rms_squared.{0}\",\"test_{1}.{0}\"", a, kShownGap);
    out += ",dominated,near_chance,selected\n";
    for (size_t i = 0; i < r.points.size(); ++i) {
        const SweptPoint& p = r.points[i];
        for (const SweepRun& run : p.runs) {
            const Round& round = run.result.kept();
            out += fmt::format(
                "\"{}\",{},{},{},{},{},{},{:.4f},{:.4f},{:.4f},{},{},{},{},{},{}\n", p.point.name,
                p.point.settings.score.criterion->name, to_string(p.point.settings.choose.amount), int(p.point.control),
                run.seed, round.parameters, json_number(round.macs), p.latency.value, p.latency.low, p.latency.high,
                json_number(round.val.metric("balanced_accuracy")), json_number(round.objective.value),
                test_cells(run, r.attributes), int(p.dominated), int(p.near_chance), int(int(i) == r.selected));
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
               aside(fmt::format("changes from its {} by {} of {:.3f}", kPrimaryKey, r.attribute, *r.dense_gap), 0) +
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
