#include "engine/fairness/compare.h"
#include "engine/report/render.h"
#include "engine/report/text_rows.h"

namespace fp {
namespace {

std::string p_text(const Difference& d) {
    return std::isnan(d.p) ? "" : fmt::format("{:<8}{}", number(d.p), number(d.p_holm));
}

std::string metric_row(const Difference& d) {
    if (std::isnan(d.value)) return row(d.key, fmt::format("n/a ({})", d.reason));
    return row(d.key, fmt::format("{:<8}{:<8}{:<9}{:<20}{}", number(d.model), number(d.other),
                                  fmt::format("{:+.4f}", d.value), range(d.low, d.high), p_text(d)));
}

std::string gap_row(const Difference& d) {
    std::string out = metric_row(d);
    if (!std::isnan(d.rms_squared))
        out += aside(fmt::format("rms^2 {:+.5f} {}", d.rms_squared,
                                 std::isnan(d.rms_squared_low)
                                     ? ""
                                     : fmt::format("[{:+.5f}, {:+.5f}]", d.rms_squared_low, d.rms_squared_high)));
    return out;
}

std::string heading(const char* what) {
    return row(what, fmt::format("{:<8}{:<8}{:<9}{:<20}{:<8}{}", "model", "other", "change", "interval", "p", "Holm"));
}

// A line for each change, and one for all that did not change; their p are in the table.
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

std::string to_text(const Comparison& comparison) {
    std::string out = heading("model - other");
    for (const Difference& d : comparison.metrics) out += metric_row(d);
    out += verdicts(comparison.metrics);
    for (const auto& a : comparison.attributes) {
        out += fmt::format("\n{}", heading(a.name.c_str()));
        for (const auto& g : a.groups) {
            out += row(g.name, fmt::format("n={}", g.samples));
            for (const Difference& d : g.metrics) out += metric_row(d);
        }
        if (!a.no_gaps.empty()) out += fmt::format("no gaps: {}\n", a.no_gaps);
        for (const Difference& d : a.gaps) out += gap_row(d);
        for (const Measure& m : a.fate) out += row(m, range(m.low, m.high));
        if (!a.fate_note.empty()) out += wrapped(a.fate_note);
        out += verdicts(a.gaps);
    }
    return out;
}

}  // namespace fp
