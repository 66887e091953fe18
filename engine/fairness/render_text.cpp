#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/fairness/render.h"

namespace fp {
namespace {

// A line is a name, a value of 8 and what else fits into 80 columns.
constexpr int kName = 18;

// Control characters are shown as ?, not obeyed; cut to kName - 1 characters of UTF-8 and padded to kName.
std::string name_cell(const std::string& name) {
    std::string out;
    int characters = 0;
    for (const char c : name) {
        const bool starts = (uint8_t(c) & 0xC0) != 0x80;
        if (starts && ++characters == kName) break;
        out += uint8_t(c) < 0x20 || c == 0x7F ? '?' : c;
    }
    return out + std::string(size_t(kName - std::min(characters, kName - 1)), ' ');
}

std::string number(double v) { return std::isnan(v) ? "n/a" : fmt::format("{:.4f}", v); }
std::string range(double low, double high) {
    return std::isnan(low) ? "" : fmt::format("[{:.4f}, {:.4f}]", low, high);
}
std::string row(const std::string& name, const std::string& rest) {
    return fmt::format("{}{}\n", name_cell(name), rest);
}
std::string row(const Measure& m, const std::string& rest) {
    if (std::isnan(m.value)) return row(m.key, fmt::format("n/a ({})", m.reason));
    return row(m.key, fmt::format("{:<8}{}", number(m.value), rest));
}
std::string aside(const std::string& text) { return fmt::format("  {}\n", text); }

std::string metric_table(const Report& report) {
    std::string out = row("metric", fmt::format("{:<8}{:<19}{}", "value", "interval", "formula"));
    for (const Measure& m : report.metrics)
        out += row(m, fmt::format("{:<19}{}", range(m.low, m.high), m.formula));
    return out;
}

std::string group_table(const AttributeReport& attribute) {
    std::string out;
    for (const GroupReport& g : attribute.groups) {
        out +=
            row(g.name, fmt::format("n={}, {} units{}", g.samples, g.units,
                                    g.in_gaps ? "" : fmt::format("; not in gaps ({})", g.reason)));
        for (Measure m : g.metrics) {
            m.key = fmt::format("  {}", m.key);
            out += row(m, range(m.low, m.high));
        }
    }
    for (const WorstGroup& w : attribute.worst)
        if (w.measure.key == "accuracy")
            out += fmt::format("worst by accuracy: {}(again in {:.0f} % of resamples)\n",
                               name_cell(w.group), 100 * w.stays_worst);
    return out;
}

std::string gap_rows(const Gap& g, bool several_pairs) {
    std::string out = row(g, fmt::format("{:<19}{:<8}{:<8}{}", range(g.fair_low, g.fair_high),
                                         number(g.p), number(g.p_holm), number(g.rms)));
    if (std::isnan(g.value)) return out;
    out += aside(g.formula);
    if (!std::isnan(g.low)) out += aside(fmt::format("interval {}", range(g.low, g.high)));
    if (!std::isnan(g.rms_low))
        out += aside(fmt::format("rms interval {}", range(g.rms_low, g.rms_high)));
    if (!std::isnan(g.signed_gap.value))
        out += aside(fmt::format("{}minus {}{} {}", name_cell(g.group_a), name_cell(g.group_b),
                                 number(g.signed_gap.value),
                                 range(g.signed_gap.low, g.signed_gap.high)));
    else if (several_pairs && !g.group_a.empty())
        out += aside(fmt::format("worst pair: {}{}", name_cell(g.group_a), name_cell(g.group_b)));
    if (several_pairs && !std::isnan(g.mean_pair))
        out += aside(fmt::format("mean of pairs {}", number(g.mean_pair)));
    if (g.absent > 0)
        out += aside(fmt::format("{} of {} classes are absent from a group; 0/0 counts as 0",
                                 g.absent, g.classes));
    return out;
}

std::string verdicts(const AttributeReport& attribute) {
    std::string out;
    for (const Gap& g : attribute.gaps)
        if (!g.verdict.empty()) out += aside(fmt::format("{}: {}", g.key, g.verdict));
    return out;
}

std::string gap_table(const AttributeReport& attribute) {
    if (attribute.gaps.empty()) return fmt::format("no gaps: {}\n", attribute.no_gaps);
    const auto compared = std::count_if(attribute.groups.begin(), attribute.groups.end(),
                                        [](const auto& g) { return g.in_gaps; });
    std::string out = row(
        "gap", fmt::format("{:<8}{:<19}{:<8}{:<8}{}", "value", "fair range", "p", "Holm", "rms"));
    for (const Gap& g : attribute.gaps) out += gap_rows(g, compared > 2);
    return out + verdicts(attribute);
}

std::string left_out(const AttributeReport& a) {
    std::string out;
    if (a.unknown > 0)
        out += fmt::format("{} samples of unknown group: shown, not in gaps\n", a.unknown);
    if (a.groups_left_out > 0)
        out += fmt::format("{} groups with {} samples are too small for gaps\n", a.groups_left_out,
                           a.samples_left_out);
    if (a.units_in_two_groups > 0)
        out += fmt::format(
            "{} units lie in two groups: resampled with the group of their first image\n",
            a.units_in_two_groups);
    return out;
}

}  // namespace

std::string to_text(const Report& report) {
    std::string out =
        fmt::format("{} samples, {} units ({}), {} classes; {} resamples, seed {}\n\n",
                    report.samples, report.units, report.unit, report.classes.size(),
                    report.options.resamples, report.options.seed);
    out += metric_table(report);
    for (const AttributeReport& a : report.attributes)
        out +=
            fmt::format("\n{}{}{}\n{}", row(a.name, ""), left_out(a), group_table(a), gap_table(a));
    return out;
}

}  // namespace fp
