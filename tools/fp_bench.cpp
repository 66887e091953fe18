// fp_bench: how fast models are, dense and pruned in turns in one run.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>

#include "engine/files.h"
#include "engine/profile.h"
#include "engine/stopwatch.h"
#include "models/models.h"
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

void print_layers(const std::vector<std::vector<LayerCost>>& tables,
                  const Settings& s,
                  int batch_size) {
    for (size_t i = 0; i < tables.size(); ++i) {
        double total = 0;
        for (const LayerCost& c : tables[i]) total += c.forward_seconds + c.backward_seconds;
        fmt::print("\n{} (batch {}, {})\n", s.checkpoints[i], batch_size,
                   s.train ? "training step" : "inference");
        fmt::print("{:<24}{:>11}{:>9}{:>9}{:>9}{:>9}{:>8}\n", "layer", "channels", "map", "MMAC",
                   "ms", "GFLOP/s", "share");
        for (size_t r = 0; r < tables[i].size(); ++r) {
            const LayerCost& c = tables[i][r];
            const double seconds = c.forward_seconds + c.backward_seconds;
            const double flops = 2 * c.macs * (s.train ? 3 : 1);
            fmt::print("{:<24}{:>11}{:>9}{:>9.1f}{:>9.3f}{:>9}{:>7.1f}%\n", c.layer.substr(0, 23),
                       fmt::format("{}>{}", c.in_channels, c.out_channels),
                       fmt::format("{}x{}", c.height, c.width), c.macs / batch_size * 1e-6,
                       seconds * 1e3,
                       c.macs > 0 ? fmt::format("{:.0f}", flops / seconds * 1e-9) : "-",
                       100 * seconds / total);
            if (i == 0 || tables[0].size() != tables[i].size() || c.macs == 0) continue;
            // Why a layer that lost multiply-adds did not get faster in proportion.
            const LayerCost& dense = tables[0][r];
            const double wanted = c.macs / dense.macs,
                         got = seconds / (dense.forward_seconds + dense.backward_seconds);
            if (wanted > 0.99 || got < wanted * 1.15) continue;
            const bool ragged = c.out_channels % 16 != 0 || c.in_channels % 16 != 0;
            fmt::print("  {:.2f}x the multiply-adds but {:.2f}x the time: {}\n", wanted, got,
                       ragged
                           ? "channels are computed in blocks of 16; --round-to 16 would waste none"
                           : "memory and fixed costs dominate at this size");
        }
    }
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
    std::vector<std::vector<LayerCost>> tables;
    if (s.layers || !s.trace.empty())
        for (Network* net : networks)
            tables.push_back(profile(*net, {.batch_size = profiled,
                                            .image_size = size,
                                            .mode = s.train ? Mode::train : Mode::infer}));
    if (!s.trace.empty()) {
        std::vector<NamedProfile> named;
        for (size_t i = 0; i < tables.size(); ++i) named.push_back({s.checkpoints[i], tables[i]});
        write_file(s.trace, chrome_trace(named).dump(1) + "\n");
    }
    if (options.json()) {
        ordered_json rows = ordered_json::array();
        for (const Measured& m : all) rows.push_back(benchmark_json(m, s));
        const ordered_json out{{"context",
                                {{"executable", "fp_bench"},
                                 {"device", std::string(k.name)},
                                 {"image_size", size},
                                 {"mode", s.train ? "train" : "infer"}}},
                               {"benchmarks", rows}};
        std::cout << out.dump(2) << "\n";
        return 0;
    }
    fmt::print("{} at {}x{} on {}: models take turns, {} rounds and more\n",
               s.train ? "Training steps" : "Inference", size, size, k.name, 10);
    for (size_t i = 0; i < models.size(); ++i) {
        const Totals t = totals(layer_costs(models::build, models[i].network->spec, size));
        fmt::print("[{}] {}\n    {} {:.2f} M parameters, {:.1f} MMAC an image\n", i + 1,
                   s.checkpoints[i], models[i].network->spec.arch, double(t.parameters) * 1e-6,
                   t.macs * 1e-6);
    }
    fmt::print("\n{:<6}{:>6}{:>11}{:>10}{:>9}{:>9}{:>9}{:>10}   {}\n", "model", "batch", "images/s",
               "median ms", "p90", "p99", "min", "peak MB", "speed-up [95 %]");
    for (size_t i = 0; i < all.size(); ++i) {
        const Measured& m = all[i];
        fmt::print("{:<6}{:>6}{:>11.1f}{:>10.3f}{:>9.3f}{:>9.3f}{:>9.3f}{:>10.1f}",
                   fmt::format("[{}]", i % models.size() + 1), m.batch_size,
                   m.batch_size / m.summary.median, m.summary.median * 1e3, m.summary.p90 * 1e3,
                   m.summary.p99 * 1e3, m.summary.min * 1e3, double(m.peak_bytes) * 1e-6);
        if (i % models.size() > 0)
            fmt::print("   {:.2f}x [{:.2f}, {:.2f}]", m.against_first.value, m.against_first.low,
                       m.against_first.high);
        fmt::print("\n");
        if (m.summary.p90 > 1.25 * m.summary.median)
            fmt::print(
                "      unstable: p90 is {:.0f} % above the median; something else runs on this "
                "machine\n",
                100 * (m.summary.p90 / m.summary.median - 1));
    }
    if (s.layers) print_layers(tables, s, profiled);
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
            o.add("layers", s.layers, "a row a layer: shape, multiply-adds, time, share");
            o.add("trace FILE", s.trace,
                  "a row a layer as a file for Chrome's trace viewer or Perfetto");
            o.add("seconds S", s.seconds, "at least this long for each model and batch size",
                  {.low = 0, .high = 3600});
        },
        [&](const fp::Options& o) { return fp::run(s, o); });
}
