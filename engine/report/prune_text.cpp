#include "engine/report/prune_report.h"
#include "engine/report/text_rows.h"

namespace fp {
namespace {

std::string columns(const std::string& what,
                    const std::string& dense,
                    const std::string& pruned,
                    const std::string& beside = "") {
    return fmt::format("{:<26}{:>18}{:>18}{:>18}\n", what, dense, pruned, beside);
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
    for (const GroupReport& g : a.groups)
        out += columns(fmt::format("  {} (n={})", g.name, g.samples), number(g.metric("accuracy").value),
                       number(b.group(g.name).metric("accuracy").value));
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
    std::string out =
        fmt::format("\ntest split, {} images                     value [95 % interval]\n", t.dense.samples);
    for (const char* key : {"accuracy", "balanced_accuracy", "macro_f1", "macro_auc"}) {
        const Measure& pruned = t.pruned.metric(key);
        out += columns(key, number(t.dense.metric(key).value), number(pruned.value), range(pruned.low, pruned.high, 3));
    }
    for (const AttributeReport& a : t.dense.attributes) out += attribute_rows(a, t.pruned.attribute(a.name));
    return out;
}

}  // namespace

std::string to_text(const PruneReport& r) {
    std::string out = size_rows(r);
    for (const SpeedPair& s : r.speed) out += speed_row(s);
    if (!r.test) return out + "no test split: nothing was evaluated\n";
    out += test_rows(*r.test);
    if (r.sweep) out += "\n" + to_text(*r.sweep);
    return out + "\n" + wrapped(r.verdict);
}

}  // namespace fp
