#include <fmt/format.h>

#include <cmath>

#include "engine/measure/layer_costs.h"
#include "engine/report/prune_report.h"
#include "engine/report/sweep_text.h"
#include "engine/report/text_rows.h"

namespace fp {
namespace {

std::string columns(const std::string& what,
                    const std::string& dense,
                    const std::string& pruned,
                    const std::string& beside) {
    return fmt::format("{:<26}{:>18}{:>18}{:>18}\n", what, dense, pruned, beside);
}

std::string interval(const Measure& m) {
    return std::isnan(m.low) ? "" : fmt::format("[{:.3f}, {:.3f}]", m.low, m.high);
}

std::string fair_range(const Gap& g) {
    return std::isnan(g.fair_low) ? "" : fmt::format("{:.3f}..{:.3f}", g.fair_low, g.fair_high);
}

std::string size_rows(const PruneReport& r) {
    const auto of = [&](const LoadedModel& m) { return totals(layer_costs(*m.network, r.dense.image_size())); };
    const Totals a = of(r.dense.model), b = of(r.result.best);
    const double pa = double(a.parameters), pb = double(b.parameters);
    return columns("", "dense", "pruned", "") +
           columns("parameters (M)", fmt::format("{:.3f}", pa * 1e-6), fmt::format("{:.3f}", pb * 1e-6),
                   fmt::format("{:.1f} %", 100 * pb / pa)) +
           columns("multiply-adds (M/image)", fmt::format("{:.1f}", a.macs * 1e-6),
                   fmt::format("{:.1f}", b.macs * 1e-6), fmt::format("{:.1f} %", 100 * b.macs / a.macs));
}

std::string speed_row(const SpeedPair& s) {
    return columns(fmt::format("images/s, batch {}", s.batch), fmt::format("{:.0f}", s.batch / s.dense.median),
                   fmt::format("{:.0f}", s.batch / s.pruned.median),
                   fmt::format("{:.2f}x [{:.2f},{:.2f}]", s.speedup.value, s.speedup.low, s.speedup.high));
}

std::string attribute_rows(const AttributeReport& a, const AttributeReport& b) {
    std::string out = fmt::format("\n{:<26}{:>18}{:>18}{:>18}\n", a.name, "", "", "fair range");
    for (const GroupReport& g : a.groups)
        out += columns(fmt::format("  {} (n={})", g.name, g.samples), number(g.metric("accuracy").value),
                       number(b.group(g.name).metric("accuracy").value), "");
    for (const char* key : {"eopp0", "eopp1", "eodd", "eodd_mean", "dp"})
        for (const Gap& gap : a.gaps)
            if (gap.key == key)
                out += columns(fmt::format("  {}", key), number(gap.value), number(b.gap(key).value),
                               fair_range(b.gap(key)));
    return out;
}

std::string test_rows(const TestResult& t) {
    std::string out =
        fmt::format("\ntest split, {} images                     value [95 % interval]\n", t.dense.samples);
    for (const char* key : {"accuracy", "balanced_accuracy", "macro_f1", "macro_auc"})
        out += columns(key, number(t.dense.metric(key).value), number(t.pruned.metric(key).value),
                       interval(t.pruned.metric(key)));
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
