#include "tools/bench_report.h"

#include "engine/report/text_rows.h"

namespace fp {
namespace {

// Why a layer that lost multiply-adds did not get faster in proportion, as a line; empty where it did.
std::string why_not_faster(const LayerCost& dense, const LayerCost& c, const Kernels& k, bool memory) {
    if (c.macs <= 0) return "";
    const double wanted = c.macs / dense.macs, got = seconds_of(c) / seconds_of(dense);
    if (wanted > 0.99 || got < wanted * 1.15) return "";
    const int block = k.block(c.out_channels);
    const auto filled = [block](const LayerCost& l) {
        return double(round_up(l.in_channels, block)) * double(round_up(l.out_channels, block));
    };
    const std::string why = got < filled(c) / filled(dense) * 1.15
                                ? fmt::format("blocks of {0}, --round-to {0} fills them", block)
                            : memory ? "memory bounds it"
                                     : "fixed costs dominate at this size";
    return fmt::format("  {:.2f}x the multiply-adds, {:.2f}x the time: {}\n", wanted, got, why);
}

constexpr auto kRow = "{:<22}{:>10}{:>8}{:>8}{:>7}{:>8}{:>6}{:>5}{:>6}\n";

std::string layer_row(const LayerCost& c, const LowerBound& floor, int batch_size, double total) {
    const double seconds = seconds_of(c);
    const auto cell = [&](bool known, double v, int digits, const char* unit = "") {
        return known && seconds > 0 ? fmt::format("{:.{}f}{}", v, digits, unit) : "-";
    };
    return fmt::format(kRow, c.layer.substr(0, 21), fmt::format("{}>{}", c.in_channels, c.out_channels),
                       fmt::format("{}x{}", c.height, c.width), cell(true, c.macs / batch_size * 1e-6, 1),
                       cell(true, c.bytes * 1e-6, 1), cell(true, seconds * 1e3, 3),
                       cell(true, 100 * seconds / total, 1, "%"), cell(c.macs > 0, flops_of(c) / seconds * 1e-9, 0),
                       cell(floor.seconds > 0, 100 * floor.seconds / seconds, 0, floor.memory ? "%m" : "%a"));
}

std::string layers_text(const BenchReport& b) {
    std::string out = fmt::format("\nroof, measured: {:.0f} GFLOP/s (matrix product), {:.1f} GB/s (sum of two maps)\n",
                                  b.roof.flops * 1e-9, b.roof.bytes * 1e-9);
    for (const NamedProfile& table : b.layers) {
        const double total = totals(table.rows).seconds;
        out += fmt::format("\n{} (batch {}, {})\n", table.name, b.layers_batch_size,
                           b.train ? "training step" : "inference");
        out += fmt::format(kRow, "layer", "channels", "map", "MMAC", "MB", "ms", "time", "GF/s", "roof");
        for (size_t r = 0; r < table.rows.size(); ++r) {
            const LayerCost& c = table.rows[r];
            const LowerBound floor = lower_bound(b.roof, c);
            out += layer_row(c, floor, b.layers_batch_size, total);
            if (seconds_of(c) > 0 && b.layers[0].rows.size() == table.rows.size())
                out += why_not_faster(b.layers[0].rows[r], c, b.kernels, floor.memory);
        }
    }
    return out + "\n" +
           wrapped(
               "MMAC per image, MB and ms per batch. roof: the roofline's lower bound of the time over the measured "
               "time; a: arithmetic bounds it, m: memory. Winograd's transforms multiply less than is counted, and "
               "maps in a cache are read faster. A norm's row includes the addition, ReLU and max pool after it that "
               "have no row; a shortcut's norm without a time is part of the norm that ends its block.",
               0);
}

std::string timing_row(const Measured& m, size_t model) {
    std::string out =
        fmt::format("{:<5}{:>6}{:>11.1f}{:>11.3f}{:>9.3f}{:>9.3f}{:>9.1f}", fmt::format("[{}]", model + 1),
                    m.batch_size, m.batch_size / m.summary.median, m.summary.median * 1e3, m.summary.p90 * 1e3,
                    m.summary.p99 * 1e3, double(m.peak_bytes) * 1e-6);
    if (model > 0)
        out += fmt::format("{:>20}", fmt::format("{:.2f}x [{:.2f}, {:.2f}]", m.against_first.value, m.against_first.low,
                                                 m.against_first.high));
    out += "\n";
    if (m.summary.p90 > 1.25 * m.summary.median)
        out += fmt::format("      unstable: p90 is {:.0f} % above the median; something else runs on this machine\n",
                           100 * (m.summary.p90 / m.summary.median - 1));
    return out;
}

}  // namespace

double seconds_of(const LayerCost& c) { return c.forward_seconds + c.backward_seconds; }

double flops_of(const LayerCost& c) { return 2 * (c.macs + (c.backward_seconds > 0 ? c.backward_macs : 0)); }

std::string to_text(const BenchReport& b) {
    std::string out = fmt::format("{} at {}x{} on {}: models take turns, at least 10 rounds\n",
                                  b.train ? "Training steps" : "Inference", b.image_size, b.image_size, b.kernels.name);
    for (size_t i = 0; i < b.models.size(); ++i) {
        const BenchReport::Model& m = b.models[i];
        out += fmt::format("[{}] {}\n    {} {:.2f} M parameters, {:.1f} MMAC per image\n", i + 1, m.checkpoint, m.arch,
                           double(m.totals.parameters) * 1e-6, m.totals.macs * 1e-6);
    }
    out += fmt::format("\n{:<5}{:>6}{:>11}{:>11}{:>9}{:>9}{:>9}{:>20}\n", "model", "batch", "images/s", "median ms",
                       "p90", "p99", "peak MB", "speed-up [95 %]");
    for (size_t i = 0; i < b.measured.size(); ++i) out += timing_row(b.measured[i], i % b.models.size());
    return b.print_layers ? out + layers_text(b) : out;
}

}  // namespace fp
