#include <map>

#include "engine/report/evaluation.h"
#include "engine/report/text_rows.h"

namespace fp {
namespace {

std::string metric_table(const Report& report) {
    std::string out = row("metric", fmt::format("{:<8}{:<19}{}", "value", "interval", "formula"));
    for (const Measure& m : report.metrics) out += row(m, fmt::format("{:<19}{}", range(m.low, m.high), m.formula));
    return out;
}

std::string group_table(const AttributeReport& attribute) {
    std::string out;
    for (const GroupReport& g : attribute.groups) {
        out += row(g.name, fmt::format("n={}, {} units{}", g.samples, g.units,
                                       g.in_gaps ? "" : fmt::format("; not in gaps ({})", g.reason)));
        for (Measure m : g.metrics) {
            m.key = fmt::format("  {}", m.key);
            out += row(m, range(m.low, m.high));
        }
    }
    for (const WorstGroup& w : attribute.worst)
        if (w.measure.key == "accuracy")
            out += fmt::format("worst by accuracy: {}(again in {:.0f} % of resamples)\n", name_cell(w.group),
                               100 * w.stays_worst);
    return out;
}

std::string gap_rows(const Gap& g, bool several_pairs) {
    std::string out = row(g, fmt::format("{:<19}{:<8}{:<8}{}", range(g.fair_low, g.fair_high), number(g.p),
                                         number(g.p_holm), number(g.rms)));
    if (std::isnan(g.value)) return out;
    out += aside(g.formula);
    if (!std::isnan(g.low)) out += aside(fmt::format("interval {}", range(g.low, g.high)));
    if (!std::isnan(g.rms_low)) out += aside(fmt::format("rms interval {}", range(g.rms_low, g.rms_high)));
    if (!std::isnan(g.signed_gap.value))
        out += aside(fmt::format("{}minus {}{} {}", name_cell(g.group_a), name_cell(g.group_b),
                                 number(g.signed_gap.value), range(g.signed_gap.low, g.signed_gap.high)));
    else if (several_pairs && !g.group_a.empty())
        out += aside(fmt::format("worst pair: {}{}", name_cell(g.group_a), name_cell(g.group_b)));
    if (several_pairs && !std::isnan(g.mean_pair)) out += aside(fmt::format("mean of pairs {}", number(g.mean_pair)));
    if (g.absent > 0)
        out += aside(fmt::format("{} of {} classes are absent from a group; 0/0 counts as 0", g.absent, g.classes));
    return out;
}

// Each verdict once, with the keys of the gaps that have it.
std::string verdicts(const AttributeReport& attribute) {
    std::map<std::string, std::vector<std::string>> keys;
    for (const Gap& g : attribute.gaps)
        if (!g.verdict.empty()) keys[g.verdict].push_back(g.key);
    std::string out;
    for (const auto& [verdict, of] : keys)
        out += fmt::format("{}:\n{}", verdict, wrapped(fmt::format("{}", fmt::join(of, ", "))));
    return out;
}

std::string gap_table(const AttributeReport& attribute) {
    if (attribute.gaps.empty()) return fmt::format("no gaps: {}\n", attribute.no_gaps);
    const auto compared =
        std::count_if(attribute.groups.begin(), attribute.groups.end(), [](const auto& g) { return g.in_gaps; });
    std::string out = row("gap", fmt::format("{:<8}{:<19}{:<8}{:<8}{}", "value", "fair range", "p", "Holm", "rms"));
    for (const Gap& g : attribute.gaps) out += gap_rows(g, compared > 2);
    return out + verdicts(attribute);
}

std::string left_out(const AttributeReport& a) {
    std::string out;
    if (a.unknown > 0) out += fmt::format("{} samples of unknown group: shown, not in gaps\n", a.unknown);
    if (a.groups_left_out > 0)
        out += fmt::format("{} groups with {} samples are too small for gaps\n", a.groups_left_out, a.samples_left_out);
    if (a.units_in_two_groups > 0)
        out += fmt::format("{} units lie in two groups: resampled with the group of their first image\n",
                           a.units_in_two_groups);
    return out;
}

std::string rate(const Measure& m) {
    return std::isnan(m.value) ? fmt::format("n/a ({})", m.reason)
                               : fmt::format("{:<8}{}", number(m.value), range(m.low, m.high));
}

std::string sensitivity_row(const std::string& name, const ClassFigures& f) {
    Measure specificity = f.fpr;
    specificity.value = 1 - f.fpr.value;
    specificity.low = 1 - f.fpr.high;
    specificity.high = 1 - f.fpr.low;
    return row(name, fmt::format("{:<26}{:<26}{:>9}", rate(f.tpr), rate(specificity), f.positives));
}

std::string p_text(const Difference& d) {
    return std::isnan(d.p) ? "" : fmt::format("{:<8}{}", number(d.p), number(d.p_holm));
}

std::string change_row(const Difference& d) {
    if (std::isnan(d.value)) return row(d.key, fmt::format("n/a ({})", d.reason));
    return row(d.key, fmt::format("{:<8}{:<8}{:<9}{:<20}{}", number(d.model), number(d.other),
                                  fmt::format("{:+.4f}", d.value), range(d.low, d.high), p_text(d)));
}

std::string gap_change_row(const Difference& d) {
    std::string out = change_row(d);
    if (!std::isnan(d.rms_squared))
        out += aside(fmt::format("rms^2 {:+.5f} {}", d.rms_squared,
                                 std::isnan(d.rms_squared_low)
                                     ? ""
                                     : fmt::format("[{:+.5f}, {:+.5f}]", d.rms_squared_low, d.rms_squared_high)));
    return out;
}

std::string changes_heading(const char* what) {
    return row(what, fmt::format("{:<8}{:<8}{:<9}{:<20}{:<8}{}", "model", "other", "change", "interval", "p", "Holm"));
}

// A line for each change, and one line for all without a change, whose p are in the table.
std::string verdicts(const std::vector<Difference>& differences) {
    std::string out;
    std::vector<std::string> unchanged;
    for (const Difference& d : differences) {
        if (d.changed)
            out += wrapped(fmt::format("{}: {}", d.key, d.verdict));
        else if (!d.verdict.empty())
            unchanged.push_back(d.key);
    }
    if (!unchanged.empty()) out += wrapped(fmt::format("no evidence of a change: {}", fmt::join(unchanged, ", ")));
    return out;
}

}  // namespace

std::string sensitivity_text(const Report& report, int of_class) {
    std::string out = row("", fmt::format("{:<26}{:<26}{:>9}", "sensitivity", "specificity", "positives"));
    out += sensitivity_row("all", report.class_figures.at(size_t(of_class)));
    for (const AttributeReport& a : report.attributes)
        for (const GroupReport& g : a.groups) out += sensitivity_row(g.name, g.classes.at(size_t(of_class)));
    return out;
}

std::string to_text(const Report& report) {
    std::string out =
        fmt::format("{} samples, {} units ({}), {} classes; {} resamples, seed {}\n\n", report.samples, report.units,
                    report.unit, report.classes.size(), report.options.resamples, report.options.seed);
    out += metric_table(report);
    for (const AttributeReport& a : report.attributes)
        out += fmt::format("\n{}{}{}\n{}", row(a.name, ""), left_out(a), group_table(a), gap_table(a));
    return out;
}

std::string to_text(const Comparison& comparison) {
    std::string out = changes_heading("model - other");
    for (const Difference& d : comparison.metrics) out += change_row(d);
    out += verdicts(comparison.metrics);
    for (const auto& a : comparison.attributes) {
        out += fmt::format("\n{}", changes_heading(a.name.c_str()));
        for (const auto& g : a.groups) {
            out += row(g.name, fmt::format("n={}", g.samples));
            for (const Difference& d : g.metrics) out += change_row(d);
        }
        if (!a.no_gaps.empty()) out += fmt::format("no gaps: {}\n", a.no_gaps);
        for (const Difference& d : a.gaps) out += gap_change_row(d);
        for (const Measure& m : a.fate) out += row(m, range(m.low, m.high));
        if (!a.fate_note.empty()) out += wrapped(a.fate_note);
        out += verdicts(a.gaps);
    }
    return out;
}

std::string to_text(const Evaluation& e) {
    return to_text(e.report) + (e.comparison ? fmt::format("\n{}", to_text(*e.comparison)) : std::string());
}

std::string to_text(const AtThreshold& at) {
    const Threshold& t = at.threshold;
    std::string out =
        fmt::format("{} predicted where its probability is at least {:.6g} ({}", t.positive, t.value, t.rule);
    if (t.chosen_on)
        out += fmt::format(",\nchosen on {} validation images: sensitivity {:.4f}, specificity {:.4f}, F1 {:.4f}",
                           t.chosen_on->images, t.chosen_on->sensitivity, t.chosen_on->specificity, t.chosen_on->f1);
    const Report& report = at.evaluation.report;
    return fmt::format("{})\n\n{}\n{}", out, sensitivity_text(report, int(report.classes.size()) - 1),
                       to_text(at.evaluation));
}

}  // namespace fp
