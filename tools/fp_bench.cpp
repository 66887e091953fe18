// fp_bench: how fast models are, dense and pruned in turns in one run.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>

#include "engine/io/files.h"
#include "engine/measure/profile.h"
#include "engine/measure/roofline.h"
#include "engine/measure/stopwatch.h"
#include "tools/load.h"

namespace fp {
namespace {

using nlohmann::ordered_json;

struct Settings {
    ComputeOptions compute;
    std::vector<std::string> checkpoints;
    std::vector<int> batch_sizes{1, 32};
    std::optional<int> image_size;
    std::string trace;
    bool train = false, layers = false;
    double seconds = 3;
};

struct Measured {
    std::string checkpoint;
    int batch_size;
    std::vector<double> seconds;
    TimingSummary summary;
    Ratio against_first;
    size_t peak_bytes;
};

double seconds_of(const LayerCost& c) { return c.forward_seconds + c.backward_seconds; }

// Operations of what was timed.
double flops_of(const LayerCost& c) {
    return 2 * (c.macs + (c.backward_seconds > 0 ? c.backward_macs : 0));
}

// Why a layer that lost multiply-adds did not get faster in proportion; empty where it did.
std::string why_not_faster(const LayerCost& dense,
                           const LayerCost& c,
                           const Kernels& k,
                           bool memory) {
    if (c.macs <= 0) return "";
    const double wanted = c.macs / dense.macs, got = seconds_of(c) / seconds_of(dense);
    if (wanted > 0.99 || got < wanted * 1.15) return "";
    const int block = k.block(c.out_channels);
    const auto filled = [block](const LayerCost& l) {
        return double(round_up(l.in_channels, block)) * double(round_up(l.out_channels, block));
    };
    const std::string figures =
        fmt::format("{:.2f}x the multiply-adds, {:.2f}x the time: ", wanted, got);
    if (got < filled(c) / filled(dense) * 1.15)
        return figures + fmt::format("blocks of {0}, --round-to {0} fills them", block);
    return figures + (memory ? "it waits for memory" : "fixed costs show at this size");
}

void print_layers(const std::vector<NamedProfile>& tables,
                  const Roof& roof,
                  const Kernels& k,
                  const Settings& s,
                  int batch_size) {
    fmt::print("\nroof, measured: {:.0f} GFLOP/s (matrix product), {:.1f} GB/s (sum of two maps)\n",
               roof.flops * 1e-9, roof.bytes * 1e-9);
    for (const NamedProfile& table : tables) {
        const double total = totals(table.rows).seconds;
        fmt::print("\n{} (batch {}, {})\n", table.name, batch_size,
                   s.train ? "training step" : "inference");
        fmt::print("{:<22}{:>10}{:>8}{:>8}{:>7}{:>8}{:>6}{:>5}{:>6}\n", "layer", "channels", "map",
                   "MMAC", "MB", "ms", "time", "GF/s", "roof");
        for (size_t r = 0; r < table.rows.size(); ++r) {
            const LayerCost& c = table.rows[r];
            const Floor floor = floor_of(roof, c);
            const std::string channels = fmt::format("{}>{}", c.in_channels, c.out_channels),
                              map = fmt::format("{}x{}", c.height, c.width);
            if (seconds_of(c) <= 0) {
                fmt::print("{:<22}{:>10}{:>8}{:>8}{:>7}{:>8}{:>6}{:>5}{:>6}\n",
                           c.layer.substr(0, 21), channels, map, "-", "-", "-", "-", "-", "-");
                continue;
            }
            fmt::print("{:<22}{:>10}{:>8}{:>8.1f}{:>7.1f}{:>8.3f}{:>5.1f}%{:>5}{:>6}\n",
                       c.layer.substr(0, 21), channels, map, c.macs / batch_size * 1e-6,
                       c.bytes * 1e-6, seconds_of(c) * 1e3, 100 * seconds_of(c) / total,
                       c.macs > 0 ? fmt::format("{:.0f}", flops_of(c) / seconds_of(c) * 1e-9) : "-",
                       floor.seconds > 0
                           ? fmt::format("{:.0f}%{}", 100 * floor.seconds / seconds_of(c),
                                         floor.memory ? "m" : "a")
                           : "-");
            if (tables[0].rows.size() != table.rows.size()) continue;
            if (const std::string why = why_not_faster(tables[0].rows[r], c, k, floor.memory);
                !why.empty())
                fmt::print("  {}\n", why);
        }
    }
    fmt::print(
        "\nMMAC of one image, MB and ms of the batch. roof: the least time by the roof over the\n"
        "measured, a where arithmetic bounds it, m where memory does; Winograd's transforms\n"
        "multiply less than they are counted for, and maps that a cache holds come faster.\n"
        "A norm's row includes the addition, ReLU and max pool behind it that have no row; a\n"
        "shortcut's norm without a time is in the row of the norm that ends its block.\n");
}

ordered_json layers_json(const std::vector<NamedProfile>& tables,
                         const Roof& roof,
                         int batch_size) {
    ordered_json out = ordered_json::array();
    for (const NamedProfile& table : tables)
        for (const LayerCost& c : table.rows) {
            const Floor floor = floor_of(roof, c);
            out.push_back({{"checkpoint", table.name},
                           {"batch_size", batch_size},
                           {"layer", c.layer},
                           {"op", c.op},
                           {"channels", {c.in_channels, c.out_channels}},
                           {"map", {c.height, c.width}},
                           {"parameters", c.parameters},
                           {"macs", c.macs / batch_size},
                           {"bytes", c.bytes},
                           {"forward_ms", c.forward_seconds * 1e3},
                           {"backward_ms", c.backward_seconds * 1e3},
                           {"flops", flops_of(c)},
                           {"floor_ms", floor.seconds * 1e3},
                           {"bound", floor.memory ? "memory" : "arithmetic"}});
            if (floor.seconds <= 0) out.back()["floor_ms"] = out.back()["bound"] = nullptr;
        }
    return out;
}

ordered_json benchmark_json(const Measured& m, const Settings& s) {
    return {{"name", fmt::format("{}/{}/batch:{}", m.checkpoint, s.train ? "train" : "infer",
                                 m.batch_size)},
            {"run_type", "iteration"},
            {"iterations", m.seconds.size()},
            {"real_time", m.summary.median * 1e3},
            {"cpu_time", m.summary.median * 1e3},
            {"time_unit", "ms"},
            {"items_per_second", m.batch_size / m.summary.median},
            {"peak_memory_bytes", m.peak_bytes},
            {"latency_ms",
             {{"min", m.summary.min * 1e3},
              {"mean", m.summary.mean * 1e3},
              {"median", m.summary.median * 1e3},
              {"p90", m.summary.p90 * 1e3},
              {"p95", m.summary.p95 * 1e3},
              {"p99", m.summary.p99 * 1e3},
              {"max", m.summary.max * 1e3}}},
            {"speedup_over_first",
             {{"value", m.against_first.value},
              {"low", m.against_first.low},
              {"high", m.against_first.high}}}};
}

// From the third step on nothing is allocated any more.
size_t peak_bytes(Network& network, const TimingOptions& timing) {
    TimedNetwork timed(network, timing);
    for (int step = 0; step < 3; ++step) timed.run();
    return timed.peak_bytes();
}

int run(const Settings& s, const Options& options) {
    const Kernels& k = use_device(s.compute, options);
    FP_REQUIRE(!s.checkpoints.empty(), Exit::usage, "--checkpoint is missing");
    std::vector<LoadedModel> models;
    for (const std::string& path : s.checkpoints) models.push_back(load_model(path, k));
    const int size = s.image_size.value_or(models[0].card.preprocessing.image_size);
    std::vector<Network*> networks;
    for (const LoadedModel& m : models) networks.push_back(m.network.get());

    std::vector<Measured> all;
    for (const int batch : s.batch_sizes) {
        const TimingOptions timing{
            .batch_size = batch, .image_size = size, .train = s.train, .seconds = s.seconds};
        const auto seconds = time_in_turns(networks, timing);
        for (size_t i = 0; i < models.size(); ++i)
            all.push_back({s.checkpoints[i], batch, seconds[i], summarize(seconds[i]),
                           ratio_of(seconds[0], seconds[i]), peak_bytes(*networks[i], timing)});
    }
    const int profiled = s.batch_sizes.back();
    std::vector<NamedProfile> tables;
    if (s.layers || !s.trace.empty())
        for (size_t i = 0; i < networks.size(); ++i)
            tables.push_back(
                {s.checkpoints[i],
                 profile(*networks[i], {.batch_size = profiled,
                                        .image_size = size,
                                        .mode = s.train ? Mode::train : Mode::infer})});
    if (!s.trace.empty()) write_file(s.trace, chrome_trace(tables).dump(1) + "\n");
    const Roof roof = s.layers ? measure_roof(k) : Roof{};
    if (options.json()) {
        ordered_json rows = ordered_json::array();
        for (const Measured& m : all) rows.push_back(benchmark_json(m, s));
        ordered_json out{{"context",
                          {{"executable", "fp_bench"},
                           {"device", std::string(k.name)},
                           {"image_size", size},
                           {"mode", s.train ? "train" : "infer"}}},
                         {"benchmarks", rows}};
        if (s.layers) {
            out["context"]["roof"] = {{"flops", roof.flops}, {"bytes", roof.bytes}};
            out["layers"] = layers_json(tables, roof, profiled);
        }
        std::cout << out.dump(2) << "\n";
        return 0;
    }
    fmt::print("{} at {}x{} on {}: models take turns, {} rounds and more\n",
               s.train ? "Training steps" : "Inference", size, size, k.name, 10);
    for (size_t i = 0; i < models.size(); ++i) {
        const Totals t = totals(layer_costs(*models[i].network, size));
        fmt::print("[{}] {}\n    {} {:.2f} M parameters, {:.1f} MMAC an image\n", i + 1,
                   s.checkpoints[i], models[i].network->spec.arch, double(t.parameters) * 1e-6,
                   t.macs * 1e-6);
    }
    fmt::print("\n{:<5}{:>6}{:>11}{:>11}{:>9}{:>9}{:>9}{:>20}\n", "model", "batch", "images/s",
               "median ms", "p90", "p99", "peak MB", "speed-up [95 %]");
    for (size_t i = 0; i < all.size(); ++i) {
        const Measured& m = all[i];
        fmt::print("{:<5}{:>6}{:>11.1f}{:>11.3f}{:>9.3f}{:>9.3f}{:>9.1f}",
                   fmt::format("[{}]", i % models.size() + 1), m.batch_size,
                   m.batch_size / m.summary.median, m.summary.median * 1e3, m.summary.p90 * 1e3,
                   m.summary.p99 * 1e3, double(m.peak_bytes) * 1e-6);
        if (i % models.size() > 0)
            fmt::print("{:>20}", fmt::format("{:.2f}x [{:.2f}, {:.2f}]", m.against_first.value,
                                             m.against_first.low, m.against_first.high));
        fmt::print("\n");
        if (m.summary.p90 > 1.25 * m.summary.median)
            fmt::print(
                "      unstable: p90 is {:.0f} % above the median; something else runs on this "
                "machine\n",
                100 * (m.summary.p90 / m.summary.median - 1));
    }
    if (s.layers) print_layers(tables, roof, k, s, profiled);
    return 0;
}

}  // namespace
}  // namespace fp

int main(int argc, char** argv) {
    fp::Settings s;
    return fp::run_tool(
        argc, argv, "Measures how fast models are, dense and pruned in turns in one run.",
        [&](fp::Options& o) {
            fp::add_compute_options(o, s.compute);
            o.add("checkpoint FILE", s.checkpoints,
                  "a model, to be repeated; speed-ups are over the first");
            o.add("batch-size N", s.batch_sizes, "images a call, with commas: 1,32,256",
                  {.low = 1, .high = 65536});
            o.add("image-size N", s.image_size,
                  "side of the images; as the first model was trained", {.low = 1, .high = 16384});
            o.add("train", s.train, "a training step instead of an inference");
            o.add("layers", s.layers,
                  "a row a layer: shape, work, time, and its share of the measured roof");
            o.add("trace FILE", s.trace,
                  "a row a layer as a file for Chrome's trace viewer or Perfetto");
            o.add("seconds S", s.seconds, "at least this long for each model and batch size",
                  {.low = 0, .high = 3600});
        },
        [&](const fp::Options& o) { return fp::run(s, o); });
}
