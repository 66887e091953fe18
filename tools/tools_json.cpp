#include "tools/tools_json.h"

#include "engine/measure/profile_json.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "engine/measure/profile_json.h"

namespace fp {
namespace {

using nlohmann::ordered_json;

ordered_json layers_json(const BenchReport& b) {
    ordered_json out = ordered_json::array();
    for (const NamedProfile& table : b.layers)
        for (const LayerCost& c : table.rows) {
            const LowerBound floor = lower_bound(b.roof, c);
            out.push_back({{"checkpoint", table.name},
                           {"batch_size", b.layers_batch_size},
                           {"layer", c.layer},
                           {"op", c.op},
                           {"channels", {c.in_channels, c.out_channels}},
                           {"map", {c.height, c.width}},
                           {"parameters", c.parameters},
                           {"macs", c.macs / b.layers_batch_size},
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

ordered_json benchmark_json(const Measured& m, bool train) {
    return {{"name", fmt::format("{}/{}/batch:{}", m.checkpoint, train ? "train" : "infer", m.batch_size)},
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
             {{"value", m.against_first.value}, {"low", m.against_first.low}, {"high", m.against_first.high}}}};
}

}  // namespace

std::string json_text(const BenchReport& b) {
    ordered_json rows = ordered_json::array();
    for (const Measured& m : b.measured) rows.push_back(benchmark_json(m, b.train));
    ordered_json out{{"context",
                      {{"executable", "fp_bench"},
                       {"device", std::string(b.kernels.name)},
                       {"image_size", b.image_size},
                       {"mode", b.train ? "train" : "infer"}}},
                     {"benchmarks", rows}};
    if (b.print_layers) {
        out["context"]["roof"] = {{"flops", b.roof.flops}, {"bytes", b.roof.bytes}};
        out["layers"] = layers_json(b);
    }
    return out.dump(2) + "\n";
}

std::string trace_text(const std::vector<NamedProfile>& tables) { return chrome_trace(tables).dump(1) + "\n"; }

std::string json_text(const std::vector<WrittenFile>& files) {
    ordered_json out;
    for (const WrittenFile& f : files) out[f.format] = {{"file", f.file}, {"bytes", f.bytes}};
    return out.dump(2) + "\n";
}

}  // namespace fp
