#include <map>

#include "engine/fairness/primary_gap.h"
#include "engine/fairness/verdict_words.h"
#include "engine/report/evaluation.h"
#include "engine/report/evaluation_rows.h"
#include "engine/report/text_rows.h"

namespace fp {
namespace {

std::string metric_table(const Report& report) {
    std::string out = row("metric", fmt::format("{:<8}{:<17}{}", "value", "interval", "formula"));
    for (const Measure& m : report.metrics) {
        out += row(m, fmt::format("{:<17}{}", range(m.low, m.high), m.formula));
        if (report.options.resamples > 0 && !std::isnan(m.value) && !m.reason.empty()) out += aside(m.reason);
    }
    return out;
}

std::string group_rows(const GroupReport& g) {
    std::string out = row(g.name, fmt::format("n={}, {}{}", grouped(g.samples), counted(g.units, "unit"),
                                              g.in_gaps ? "" : fmt::format("; not in gaps ({})", g.reason)));
    for (Measure m : g.metrics) {
        m.key = fmt::format("  {}", m.key);
        out += row(m, range(m.low, m.high));
    }
    return out;
}

std::string rate(const Measure& m) {
    return std::isnan(m.value) ? fmt::format("n/a ({})", m.reason)
                               : fmt::format("{:<8}{}", number(m.value), range(m.low, m.high));
}

std::string group_table(const AttributeReport& attribute) {
    std::vector<double> accuracy, samples;
    for (const GroupReport& g : attribute.groups) {
        accuracy.push_back(g.in_gaps ? g.metric("accuracy").value : kNotEstimable);
        samples.push_back(double(g.samples));
    }
    const std::vector<size_t> rows = shown_rows(attribute.groups.size(), accuracy, samples);
    std::string out;
    for (const size_t i : rows) out += group_rows(attribute.groups[i]);
    out += more(attribute.groups.size(), rows.size(), "group");
    for (const WorstGroup& w : attribute.worst)
        if (w.measure.key == "accuracy")
            out += aside(fmt::format("worst by accuracy: {}, in {:.0f} % of resamples again; the worst group's {}",
                                     w.group, 100 * w.stays_worst, rate(w.measure)),
                         0);
    return out;
}

// The gap that decides.
std::string primary_rows(const PrimaryGap& g) {
    if (std::isnan(g.rms_squared)) return row(kPrimaryKey, fmt::format("n/a ({})", g.reason));
    std::string out = row(kPrimaryKey, fmt::format("{:<8}{:<19}fair up to {}, {}", number(g.rms), range(g.low, g.high),
                                                   number(g.fair_high), counted(g.pairs, "pair")));
    out += aside(kPrimaryFormula);
    if (g.rms_squared < 0) out += aside(fmt::format("{} (rms^2 {:.6f})", g.reason, g.rms_squared));
    return out + wrapped(g.verdict);
}

std::string gap_rows(const Gap& g, bool several_pairs) {
    std::string out = row(g, fmt::format("{:<19}{:<8}{}", range(g.fair_low, g.fair_high), number(g.p), number(g.rms)));
    if (std::isnan(g.value)) return out;
    out += aside(g.formula);
    if (!std::isnan(g.low)) out += aside(fmt::format("interval {}", range(g.low, g.high)));
    if (!std::isnan(g.rms_low)) out += aside(fmt::format("rms interval {}", range(g.rms_low, g.rms_high)));
    if (g.rms_squared < 0) out += aside(fmt::format("{} (rms^2 {:.6f})", g.rms_reason, g.rms_squared));
    if (!std::isnan(g.signed_gap.value))
        out += aside(fmt::format("{} minus {}: {} {}", g.group_a, g.group_b, number(g.signed_gap.value),
                                 range(g.signed_gap.low, g.signed_gap.high)));
    else if (several_pairs && !g.group_a.empty())
        out += aside(fmt::format("worst pair: {}, {}", g.group_a, g.group_b));
    if (several_pairs && !std::isnan(g.mean_pair)) out += aside(fmt::format("mean of pairs {}", number(g.mean_pair)));
    if (g.absent > 0)
        out += aside(fmt::format("{} absent from a group; {}", counted(g.absent, "class is", "classes are"),
                                 as_released(g.key) ? "0/0 counts as 0, as in the released code" : "left out"));
    return out;
}

// Each verdict once, with the keys of the gaps that have it.
std::string verdicts(const AttributeReport& attribute) {
    std::map<std::string, std::vector<std::string>> keys;
    for (const Gap& g : attribute.gaps)
        if (!g.verdict.empty()) keys[g.verdict].push_back(g.key);
    std::string out;
    for (const auto& [verdict, of] : keys)
        out += wrapped(verdict + ":", 0) + wrapped(fmt::format("{}", fmt::join(of, ", ")));
    return out;
}

std::string gap_table(const AttributeReport& attribute) {
    if (attribute.gaps.empty()) return aside("no gaps: " + attribute.no_gaps, 0);
    const auto compared =
        std::count_if(attribute.groups.begin(), attribute.groups.end(), [](const auto& g) { return g.in_gaps; });
    std::string out = primary_rows(attribute.primary) + "\n" +
                      row("also", fmt::format("{:<8}{:<19}{:<8}{}", "value", "fair range", "p", "rms")) +
                      aside("these describe: p is not corrected, and no verdict rests on them", 0);
    for (const Gap& g : attribute.gaps) out += gap_rows(g, compared > 2);
    if (const CalibrationGap& c = attribute.calibration; !std::isnan(c.value))
        out += row("classwise ece", fmt::format("{:<8}{:<19}{}", number(c.value), range(0, c.fair_high), number(c.p))) +
               aside(fmt::format("of {} minus {}, {}", c.group_a, c.group_b, counted(c.classes, "class", "classes")));
    return out + wrapped(kGapConventions, 0) + verdicts(attribute);
}

std::string left_out(const AttributeReport& a) {
    std::string out;
    if (a.unknown > 0) out += counted(a.unknown, "sample") + " of unknown group: shown, not in gaps\n";
    if (a.groups_left_out > 0)
        out += fmt::format("{} too small for gaps, with {} in all\n",
                           counted(a.groups_left_out, "group is", "groups are"), counted(a.samples_left_out, "sample"));
    if (a.units_in_two_groups > 0)
        out += wrapped(fmt::format("{} in two groups: resampled with the group of the first image",
                                   counted(a.units_in_two_groups, "unit is", "units are")),
                       0);
    return out;
}

std::string sensitivity_row(const std::string& name, const ClassFigures& f) {
    Measure specificity = f.fpr;
    specificity.value = 1 - f.fpr.value;
    specificity.low = 1 - f.fpr.high;
    specificity.high = 1 - f.fpr.low;
    return row(name, fmt::format("{:<25}{:<25}{:>9}", rate(f.tpr), rate(specificity), grouped(f.positives)));
}

}  // namespace

std::string sensitivity_text(const Report& report, int of_class) {
    std::string out = row("", fmt::format("{:<25}{:<25}{:>9}", "sensitivity", "specificity", "positives"));
    out += sensitivity_row("all", report.class_figures.at(size_t(of_class)));
    for (const AttributeReport& a : report.attributes)
        for (const GroupReport& g : a.groups) out += sensitivity_row(g.name, g.classes.at(size_t(of_class)));
    return out;
}

std::string samples_text(const Report& report) {
    const int64_t classes = int64_t(report.classes.size());
    return aside(fmt::format("{}, {} ({}), {}; {}, seed {}", counted(report.samples, "sample"),
                             counted(report.units, "unit"), report.unit, counted(classes, "class", "classes"),
                             counted(report.options.resamples, "resample"), report.options.seed),
                 0);
}

std::string judged_text(const Evaluation& e) {
    const std::string judged =
        e.judged
            ? wrapped(fmt::format("judged: {} of {} ({}{})", grouped(e.judged->images), counted(e.judged->of, "image"),
                                  e.judged->split == "all" ? "" : "split ", e.judged->split),
                      0)
            : "";
    return judged + (e.test_reads ? wrapped(sentence(*e.test_reads), 0) : "");
}

std::string threshold_text(const Threshold& t) {
    std::string out =
        fmt::format("{} predicted where its probability is at least {:.6g} ({}", t.positive, t.value, t.rule);
    if (t.chosen_on)
        out += fmt::format(", chosen on {}: sensitivity {:.4f}, specificity {:.4f}, F1 {:.4f}",
                           counted(t.chosen_on->images, "validation image"), t.chosen_on->sensitivity,
                           t.chosen_on->specificity, t.chosen_on->f1);
    return aside(out + ")", 0);
}

std::string to_text(const Report& report) {
    std::string out = samples_text(report) + "\n" + metric_table(report);
    for (const AttributeReport& a : report.attributes)
        out += "\n" + row(a.name, "") + left_out(a) + group_table(a) + "\n" + gap_table(a);
    return out;
}

std::string to_text(const Verdict& v) {
    constexpr int kMost = 8;
    std::string out = wrapped(v.summary, 0);
    std::map<std::pair<FindingKind, std::string>, int> seen;
    int64_t hidden = 0;
    for (const Finding& f : v.findings) {
        if (in_summary(f.kind)) continue;
        if (seen[{f.kind, f.attribute}]++ < kMost)
            out += item(f.text);
        else
            ++hidden;
    }
    return out + more(size_t(hidden), 0, "finding");
}

std::string to_text(const Evaluation& e) {
    return to_text(e.verdict) + "\n" + judged_text(e) + to_text(e.report) +
           (e.comparison ? "\n" + to_text(*e.comparison) : "");
}

std::string to_text(const AtThreshold& at) {
    const Report& report = at.evaluation.report;
    return threshold_text(at.threshold) + "\n" + sensitivity_text(report, int(report.classes.size()) - 1) + "\n" +
           to_text(at.evaluation);
}

}  // namespace fp
