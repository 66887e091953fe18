#include "engine/fairness/primary_gap.h"
#include "engine/fairness/verdict_words.h"
#include "engine/report/evaluation.h"
#include "engine/report/prune_report.h"
#include "engine/report/text_rows.h"

namespace fp {
namespace {

std::string columns(const std::string& what,
                    const std::string& dense,
                    const std::string& pruned,
                    const std::string& beside = "") {
    return aside(fmt::format("{}{:>18}{:>18}{:>18}", cell(what, 26), dense, pruned, beside), 0);
}

std::string size_rows(const PruneReport& r) {
    const Totals &a = r.dense_totals, &b = r.pruned_totals;
    const auto figures = [](const std::string& what, double dense, double pruned, int digits) {
        return columns(what, number(dense * 1e-6, digits), number(pruned * 1e-6, digits),
                       fmt::format("{:.1f} %", 100 * pruned / dense));
    };
    return columns("", "dense", "pruned") + figures("parameters (M)", double(a.parameters), double(b.parameters), 3) +
           figures("multiply-adds (M/image)", a.macs, b.macs, 1);
}

std::string speed_row(const SpeedPair& s) {
    return columns(fmt::format("images/s, batch {}", s.batch), number(s.batch / s.dense.median, 0),
                   number(s.batch / s.pruned.median, 0),
                   fmt::format("{:.2f}x [{:.2f},{:.2f}]", s.speedup.value, s.speedup.low, s.speedup.high));
}

std::string attribute_rows(const AttributeReport& a, const AttributeReport& b) {
    std::string out = "\n" + columns(a.name, "", "", "fair range");
    std::vector<double> accuracy, samples;
    for (const GroupReport& g : b.groups) {
        accuracy.push_back(g.in_gaps ? g.metric("accuracy").value : kNotEstimable);
        samples.push_back(double(g.samples));
    }
    const std::vector<size_t> rows = shown_rows(b.groups.size(), accuracy, samples);
    for (const size_t i : rows) {
        const GroupReport& g = b.groups[i];
        const std::string n = fmt::format(" (n={})", grouped(g.samples));
        out += columns("  " + cell(g.name, 23 - n.size()) + n, number(a.group(g.name).metric("accuracy").value),
                       number(g.metric("accuracy").value));
    }
    out += more(b.groups.size(), rows.size(), "group");
    if (a.no_gaps.empty() && b.no_gaps.empty())
        out += columns(fmt::format("  {}", kPrimaryKey), number(a.primary.rms), number(b.primary.rms),
                       std::isnan(b.primary.fair_high) ? "" : fmt::format("up to {:.3f}", b.primary.fair_high));
    for (const char* key : {"eopp0", "eopp1", "eodd", "eodd_mean", "dp"})
        for (const Gap& gap : a.gaps) {
            if (gap.key != key) continue;
            const Gap& pruned = b.gap(key);
            out += columns(
                fmt::format("  {}", key), number(gap.value), number(pruned.value),
                std::isnan(pruned.fair_low) ? "" : fmt::format("{:.3f}..{:.3f}", pruned.fair_low, pruned.fair_high));
        }
    return out;
}

std::string test_rows(const TestResult& t) {
    std::string out = "\n" + columns(fmt::format("test, {}", counted(t.dense.samples, "image")),
                                     t.tuned ? "dense, tuned" : "dense", "pruned", "95 % interval");
    for (const Metric m : kHeadline) {
        const char* key = kMetricDefinitions[m].key;
        const Measure& pruned = t.pruned.metric(key);
        out += columns(spelt(key), number(t.other().metric(key).value), number(pruned.value),
                       range(pruned.low, pruned.high, 3));
    }
    for (const AttributeReport& a : t.other().attributes) out += attribute_rows(a, t.pruned.attribute(a.name));
    return out + "\n" + wrapped(kGapConventions, 0);
}

}  // namespace

std::string to_text(const PruneReport& r) {
    std::string out = (r.test ? to_text(r.verdict) + "\n" : "") + size_rows(r);
    if (const auto placebo = placebo_note(r.settings)) out += aside(to_text(*placebo), 0);
    for (const SpeedPair& s : r.speed) out += speed_row(s);
    out += r.test ? test_rows(*r.test) : "no test split: nothing was evaluated\n";
    if (r.test_reads) out += wrapped(sentence(*r.test_reads), 0);
    return r.sweep ? out + "\n" + to_text(*r.sweep) : out;
}

}  // namespace fp
