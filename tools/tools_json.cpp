#include "tools/tools_json.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "engine/data/counts.h"
#include "engine/data/split.h"
#include "engine/measure/profile_json.h"

namespace fp {
namespace {

using nlohmann::ordered_json;

// A byte that is not UTF-8 is written as U+FFFD.
std::string document(const ordered_json& json) {
    return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

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

ordered_json images_of(const Dataset& data, const std::vector<std::vector<int64_t>>& sets) {
    ordered_json json = ordered_json::array();
    for (const auto& set : sets) {
        ordered_json names = ordered_json::array();
        for (const int64_t i : set) names.push_back(data.samples[size_t(i)].image);
        json.push_back(std::move(names));
    }
    return json;
}

ordered_json to_json(const std::vector<BadImage>& bad, const Dataset& data, bool missing) {
    ordered_json json = ordered_json::array();
    for (const BadImage& image : bad)
        if (image.missing == missing)
            json.push_back({{"image", data.samples[size_t(image.sample)].image}, {"reason", image.reason}});
    return json;
}

ordered_json counts_json(const Dataset& data, const std::vector<Grouping>& groupings) {
    ordered_json json = {{"data", data.name},
                         {"images", data.samples.size()},
                         {"units", count_units(data)},
                         {"split_hash", split_hash(data)},
                         {"classes", data.classes},
                         {"notes", data.notes},
                         {"splits", ordered_json::object()}};
    for (const Split split : kSplits) {
        auto& part = json["splits"][std::string(name(split))];
        part["images"] = members(data, split).size();
        part["units"] = count_units(data, split);
        if (split != Split::train) part["images_shared_with_train"] = shared_images(data, split, Split::train);
        const auto all = class_counts(data, split);
        for (size_t c = 0; c < data.classes.size(); ++c) part["classes"][data.classes[c]] = all[c];
        part["attributes"] = ordered_json::object();
        for (const Grouping& grouping : groupings) {
            const auto count = class_by_group(data, split, grouping);
            const auto columns = group_columns(grouping);
            auto& attribute = part["attributes"][grouping.name];
            for (size_t c = 0; c < count.size(); ++c)
                for (size_t g = 0; g < columns.size(); ++g) attribute[data.classes[c]][columns[g]] = count[c][g];
        }
    }
    return json;
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
    return document(out);
}

std::string trace_text(const std::vector<NamedProfile>& tables) { return chrome_trace(tables).dump(1) + "\n"; }

std::string json_text(const std::vector<WrittenFile>& files) {
    ordered_json out;
    for (const WrittenFile& f : files) out[f.format] = {{"file", f.file}, {"bytes", f.bytes}};
    return document(out);
}

std::string check_json(const Dataset& data, const std::vector<Grouping>& groupings, const FileScan& scan) {
    ordered_json json = counts_json(data, groupings);
    json["missing"] = to_json(scan.bad, data, true);
    json["unreadable"] = to_json(scan.bad, data, false);
    json["duplicates"] = images_of(data, scan.duplicates);
    json["duplicates_of_two_classes"] = images_of(data, scan.contradicting);
    json["duplicates_in_two_splits"] = images_of(data, scan.parted);
    json["units_in_two_splits"] = parted_units(data);
    return document(json);
}

std::string stats_json(const Dataset& data,
                       const std::vector<Grouping>& groupings,
                       const std::optional<PixelStats>& pixels) {
    ordered_json json = counts_json(data, groupings);
    if (pixels)
        json["pixels"] = {{"split", "train"},
                          {"images", pixels->images},
                          {"bad", pixels->bad},
                          {"width", {pixels->least_width, pixels->most_width}},
                          {"height", {pixels->least_height, pixels->most_height}},
                          {"mean", pixels->mean},
                          {"std", pixels->std}};
    return document(json);
}

}  // namespace fp
