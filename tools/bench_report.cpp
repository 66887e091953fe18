#include "tools/bench_report.h"

#include "engine/prune/check_cut.h"
#include "engine/report/text_rows.h"
#include "engine/run/device.h"

namespace fp {
namespace {

double megabytes(size_t bytes) { return double(bytes) * 1e-6; }

// Why a layer that lost multiply-adds did not get faster in proportion, as a line; empty where it did, or where that
// cannot be told from noise.
std::string why_not_faster(const LayerCost& dense, const TimedRow& row, const Kernels& k) {
    const LayerCost& c = row.cost;
    if (c.macs <= 0) return "";
    const double wanted = c.macs / dense.macs, least = row.against_first.low * 0.87;  // a seventh slower is no news
    if (wanted > 0.99 || least < wanted) return "";
    const auto computed = [&k](const LayerCost& l) {
        return double(filled(k, l.in_channels)) * double(filled(k, l.out_channels));
    };
    const std::string why = least < computed(c) / computed(dense)
                                ? fmt::format("blocks of {0}, --round-to {0} fills them", filling_multiple(k))
                            : row.memory ? "memory bounds it"
                                         : "fixed costs dominate at this size";
    return fmt::format("  {:.2f}x the work, {:.2f}x the time: {}\n", wanted, row.against_first.value, why);
}

// More than the roof is no speed but a limit of what was measured.
std::string why_above_the_roof(const TimedRow& row) {
    if (row.of_roof.value <= 1) return "";
    return fmt::format("  {:.0f} % of the roof [{:.0f}, {:.0f}]: {}\n", 100 * row.of_roof.value, 100 * row.of_roof.low,
                       100 * row.of_roof.high,
                       row.of_roof.low <= 1 ? "within its noise"
                       : row.memory         ? "the maps were in a nearer cache"
                                            : "faster than the roof's matrix product");
}

// The longest name of torchvision's, layer4.0.downsample.0, and a space.
constexpr size_t kLayer = 22;
constexpr auto kRow = "{}{:>9}{:>8}{:>6}{:>6}{:>7}{:>4}{:>6}{:>6}{:>6}\n";

// With up to `digits` behind the point, as many as leave a column of `width` its space.
std::string fitting(double v, int digits, size_t width) {
    std::string out;
    do out = fmt::format("{:.{}f}", v, digits);
    while (out.size() >= width && digits-- > 0);
    return out;
}

std::string channels_of(const LayerCost& c) { return fmt::format("{}>{}", c.in_channels, c.out_channels); }

std::string layer_row(const TimedRow& row, int batch_size, double total) {
    const LayerCost& c = row.cost;
    const double seconds = row.seconds.value;
    const auto shown = [&](bool known, double v, int digits, size_t width, const char* unit = "") {
        return known && seconds > 0 ? fitting(v, digits, width) + unit : "-";
    };
    const double noise = std::max(row.seconds.high - seconds, seconds - row.seconds.low) / seconds;
    return fmt::format(kRow, cell(c.layer, kLayer), channels_of(c), fmt::format("{}x{}", c.height, c.width),
                       shown(true, c.macs / batch_size * 1e-6, 1, 6), shown(true, c.bytes * 1e-6, 1, 6),
                       shown(true, seconds * 1e3, 3, 7), noise >= 1 ? ">1x" : shown(true, 100 * noise, 0, 3, "%"),
                       shown(true, 100 * seconds / total, 1, 5, "%"),
                       shown(c.macs > 0, flops_of(c) / seconds * 1e-9, 0, 6),
                       shown(row.of_roof.value > 0, 100 * row.of_roof.value, 0, 4, row.memory ? "%m" : "%a"));
}

std::string table_text(const TimedTable& table, const BenchReport& b) {
    double total = 0;
    for (const TimedRow& row : table.rows) total += row.seconds.value;
    std::string out =
        fmt::format("\n{} (batch {}, {})\n", table.name, b.layers_batch_size, b.train ? "training step" : "inference");
    out +=
        fmt::format(kRow, cell("layer", kLayer), "channels", "map", "MMAC", "MB", "ms", "+-", "time", "GF/s", "roof");
    for (const TimedRow& row : table.rows) out += layer_row(row, b.layers_batch_size, total) + why_above_the_roof(row);
    return out;
}

// The layers of a model beside those of the first, which has the same rows.
std::string before_and_after(const TimedTable& before, const TimedTable& after, const Kernels& k) {
    constexpr auto kBoth = "{}{:>9}{:>10}{:>6}{:>7}{:>7}{:>19}\n";
    std::string out = fmt::format("\nbefore: {}\nafter:  {}\n", before.name, after.name);
    out += fmt::format(kBoth, cell("layer", kLayer), "before", "after", "MAC", "ms", "ms", "time [95 %]");
    for (size_t r = 0; r < after.rows.size(); ++r) {
        const TimedRow &dense = before.rows[r], &row = after.rows[r];
        if (row.seconds.value <= 0) continue;
        out += fmt::format(kBoth, cell(row.cost.layer, kLayer), channels_of(dense.cost), channels_of(row.cost),
                           dense.cost.macs > 0 ? fmt::format("{:.2f}x", row.cost.macs / dense.cost.macs) : "-",
                           fitting(dense.seconds.value * 1e3, 3, 7), fitting(row.seconds.value * 1e3, 3, 7),
                           fmt::format("{:.2f}x [{:.2f}, {:.2f}]", row.against_first.value, row.against_first.low,
                                       row.against_first.high));
        out += why_not_faster(dense.cost, row, k);
    }
    return out;
}

std::string layers_text(const BenchReport& b) {
    std::string out = fmt::format("\nroof, measured in turns with the layers: {:.0f} GFLOP/s (matrix product)\n",
                                  b.layers.roof.flops * 1e-9);
    for (const Roofline::Level& level : b.layers.roof.levels)
        out += fmt::format("  {:.1f} GB/s where a sum of two maps moves {:.1f} MB\n", level.bytes * 1e-9,
                           level.moved * 1e-6);
    for (const TimedTable& table : b.layers.tables) out += table_text(table, b);
    const TimedTable& first = b.layers.tables.at(0);
    for (size_t i = 1; i < b.layers.tables.size(); ++i)
        if (b.layers.tables[i].rows.size() == first.rows.size())
            out += before_and_after(first, b.layers.tables[i], b.kernels);
    return out + "\n" +
           wrapped(
               "MMAC per image, MB and ms per batch; ms: the median; +-: the wider half of its 95 % interval. roof: "
               "the "
               "roofline's lower bound of the time over the time, pass by pass; a: arithmetic bounds it, m: memory. It "
               "counts the products that ran, GF/s those of the definition: Winograd's transforms save some. A norm's "
               "row includes the addition, ReLU and max pool after it that have no row; a shortcut's norm without a "
               "time is part of the norm that ends its block.",
               0);
}

std::string timing_row(const Measured& m, size_t model) {
    std::string out = fmt::format("{:<7}{:>6}{:>11.1f}{:>11.3f}", fmt::format("[{}]", model + 1), m.batch_size,
                                  m.batch_size / m.summary.median, m.summary.median * 1e3);
    if (model > 0)
        out += fmt::format("{:>22}", fmt::format("{:.2f}x [{:.2f}, {:.2f}]", m.against_first.value, m.against_first.low,
                                                 m.against_first.high));
    out += "\n";
    if (m.summary.p90 > 1.25 * m.summary.median)
        out += fmt::format("      unstable: p90 is {:.0f} % above the median: the machine is busy\n",
                           100 * (m.summary.p90 / m.summary.median - 1));
    return out;
}

std::string latency_row(const Measured& m, size_t model) {
    std::string out = fmt::format("{:<7}{:>6}", fmt::format("[{}]", model + 1), m.batch_size);
    const TimingSummary& t = m.summary;
    for (const double seconds : {t.min, t.mean, t.median, t.p90, t.p95, t.p99, t.max})
        out += fmt::format("{:>9.3f}", seconds * 1e3);
    return out + "\n";
}

std::string parts_row(const Measured& m, size_t model) {
    std::string out = fmt::format("{:<7}{:>6}", fmt::format("[{}]", model + 1), m.batch_size);
    for (const double seconds : {m.median(&RunTimes::enqueue), m.copies.in, m.copies.out, m.median(&RunTimes::cpu)})
        out += fmt::format("{:>11.3f}", seconds * 1e3);
    return out + "\n";
}

std::string memory_row(const Measured& m, size_t model) {
    const MemoryUse& u = m.memory;
    std::string out = fmt::format("{:<7}{:>6}", fmt::format("[{}]", model + 1), m.batch_size);
    for (const size_t bytes : {u.total(), u.weights, u.gradients, u.optimizer, u.activations, u.images})
        out += fmt::format("{:>11.2f}", megabytes(bytes));
    return out + "\n";
}

}  // namespace

double Measured::median(double RunTimes::*part) const {
    std::vector<double> values;
    for (const RunTimes& r : runs) values.push_back(r.*part);
    return summarize(std::move(values)).median;
}

double flops_of(const LayerCost& c) { return 2 * (c.macs + (c.backward_seconds > 0 ? c.backward_macs : 0)); }

std::string to_text(const BenchReport& b) {
    std::string out = aside(fmt::format("{} at {}x{} on {}", b.train ? "Training steps" : "Inference", b.image_size,
                                        b.image_size, device_text(b.kernels)),
                            0) +
                      "models take turns, at least 10 rounds\n";
    for (size_t i = 0; i < b.models.size(); ++i) {
        const BenchReport::Model& m = b.models[i];
        out += fmt::format("[{}] {}\n    {} {:.2f} M parameters, {:.1f} MMAC per image\n", i + 1, m.checkpoint, m.arch,
                           double(m.totals.parameters) * 1e-6, m.totals.macs * 1e-6);
    }
    const auto add = [&](const std::string& header, auto row) {
        out += "\n" + header;
        for (size_t i = 0; i < b.measured.size(); ++i) out += row(b.measured[i], i % b.models.size());
    };
    add(fmt::format("{:<7}{:>6}{:>11}{:>11}{:>22}\n", "model", "batch", "images/s", "median ms", "speed-up [95 %]"),
        timing_row);
    add(fmt::format("{:<7}{:>6}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}\n", "ms", "batch", "min", "mean", "median", "p90",
                    "p95", "p99", "max"),
        latency_row);
    add(fmt::format("{:<7}{:>6}{:>11}{:>11}{:>11}{:>11}\n", "ms", "batch", "enqueue", "copy in", "copy out", "cpu"),
        parts_row);
    add(fmt::format("{:<7}{:>6}{:>11}{:>11}{:>11}{:>11}{:>11}{:>11}\n", "peak MB", "batch", "total", "weights",
                    "gradients", "optimizer", "activation", "images"),
        memory_row);
    return b.print_layers ? out + layers_text(b) : out;
}

}  // namespace fp
