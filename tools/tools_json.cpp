#include "tools/tools_json.h"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>

#include "engine/data/counts.h"
#include "engine/data/split.h"
#include "engine/io/fields.h"
#include "engine/io/json.h"
#include "engine/measure/profile_json.h"
#include "engine/report/evaluation.h"
#include "engine/report/page.h"
#include "engine/run/device.h"

namespace fp {
namespace {

using nlohmann::ordered_json;

void put_estimate(JsonWriter out, const Estimate& r, double unit) {
    out("value", r.value * unit);
    out("low", r.low * unit);
    out("high", r.high * unit);
}

void put_layer(JsonWriter out, const TimedRow& row, const std::string& checkpoint, const BenchReport& b) {
    const LayerCost& c = row.cost;
    out("checkpoint", checkpoint);
    out("batch_size", b.layers_batch_size);
    out("layer", c.layer);
    out("op", c.op);
    out("channels", std::vector{c.in_channels, c.out_channels});
    out("map", std::vector{c.height, c.width});
    out("parameters", c.parameters);
    out("macs", c.macs / b.layers_batch_size);
    out("executed_macs", c.executed_macs / b.layers_batch_size);
    out.if_any("implementation", c.implementation);
    out("bytes", c.bytes);
    out("forward_ms", c.forward_seconds * 1e3);
    out("backward_ms", c.backward_seconds * 1e3);
    put_estimate(inside(out, "ms"), row.seconds, 1e3);
    out("flops", flops_of(c));
    if (row.against_first.value > 0) put_estimate(inside(out, "time_over_first"), row.against_first, 1);
    const bool bounded = row.of_roof.value > 0;
    out.object["floor_ms"] = nullptr;
    out.object["bound"] = nullptr;
    if (!bounded) return;
    out("floor_ms", row.of_roof.value * row.seconds.value * 1e3);
    out("bound", row.memory ? "memory" : "arithmetic");
    put_estimate(inside(out, "share_of_roof"), row.of_roof, 1);
}

void put_benchmark(JsonWriter out, const Measured& m, bool train) {
    const TimingSummary& t = m.summary;
    out("name", fmt::format("{}/{}/batch:{}", m.checkpoint, train ? "train" : "infer", m.batch_size));
    out("checkpoint", m.checkpoint);
    out("batch_size", m.batch_size);
    out("run_type", "iteration");
    out("iterations", uint64_t(m.runs.size()));
    out("real_time", t.median * 1e3);
    out("cpu_time", m.median(&RunTimes::cpu) * 1e3);
    out("time_unit", "ms");
    out("items_per_second", m.batch_size / t.median);
    out("enqueue_ms", m.median(&RunTimes::enqueue) * 1e3);
    out("copy_in_ms", m.copies.in * 1e3);
    out("copy_out_ms", m.copies.out * 1e3);
    out("peak_memory_bytes", uint64_t(m.memory.total()));
    JsonWriter memory = inside(out, "peak_memory");
    for (const auto& [name, bytes] : {std::pair{"weights", m.memory.weights},
                                      {"gradients", m.memory.gradients},
                                      {"optimizer", m.memory.optimizer},
                                      {"activations", m.memory.activations},
                                      {"images", m.memory.images}})
        memory(name, uint64_t(bytes));
    JsonWriter latency = inside(out, "latency_ms");
    for (const auto& [name, seconds] : {std::pair{"min", t.min},
                                        {"mean", t.mean},
                                        {"median", t.median},
                                        {"p90", t.p90},
                                        {"p95", t.p95},
                                        {"p99", t.p99},
                                        {"max", t.max}})
        latency(name, seconds * 1e3);
    JsonWriter speedup = inside(out, "speedup_over_first");
    speedup("value", m.against_first.value);
    speedup("low", m.against_first.low);
    speedup("high", m.against_first.high);
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
    std::map<std::string, int64_t> others;
    for (const int64_t i : members(data, Split::other)) ++others[data.samples[size_t(i)].other_split];
    if (!others.empty()) json["other_splits"] = others;
    return json;
}

void put_bench(ordered_json& document, const BenchReport& b) {
    JsonWriter out{make_object(document)}, context = inside(out, "context");
    context("executable", "fp_bench");
    context("device", std::string(b.kernels.name));
    context("device_text", device_text(b.kernels));
    context("image_size", b.image_size);
    context("mode", b.train ? "train" : "infer");
    if (b.print_layers) {
        JsonWriter roof = inside(context, "roof");
        roof("flops", b.layers.roof.flops);
        roof("bytes", b.layers.roof.levels.back().bytes);
        ordered_json& levels = make_list(add_member(roof.object, "levels"));
        for (const Roofline::Level& level : b.layers.roof.levels) {
            JsonWriter one{make_object(add_element(levels))};
            one("moved_bytes", level.moved);
            one("bytes", level.bytes);
        }
    }
    ordered_json& benchmarks = make_list(document["benchmarks"]);
    for (const Measured& m : b.measured) put_benchmark({make_object(add_element(benchmarks))}, m, b.train);
    if (!b.print_layers) return;
    ordered_json& layers = make_list(document["layers"]);
    for (const TimedTable& table : b.layers.tables)
        for (const TimedRow& row : table.rows) put_layer({make_object(add_element(layers))}, row, table.name, b);
}

}  // namespace

std::string json_text(const BenchReport& b) {
    return json_document([&](ordered_json& document) { put_bench(document, b); });
}

std::string page_text(const BenchReport& b, const Caller& caller) {
    ordered_json document;
    put_bench(document, b);
    document["title"] = "Speed of " + b.models[0].arch + (b.models.size() > 1 ? " and others" : "");
    document["command"] = caller.command_line;
    document["environment"] = environment(caller, &b.kernels);
    return report_page(document);
}

std::string trace_text(const TimedLayers& layers) {
    std::vector<NamedProfile> profiles;
    for (const TimedTable& table : layers.tables) {
        NamedProfile& profile = profiles.emplace_back(NamedProfile{.name = table.name, .rows = {}});
        for (const TimedRow& row : table.rows) profile.rows.push_back(row.cost);
    }
    return json_text(chrome_trace(profiles), 1);
}

std::string json_text(const DryRun& run) {
    return json_document([&](ordered_json& document) { JsonWriter{make_object(document)}("dry_run", run); });
}

std::string json_text(const std::vector<WrittenFile>& files) {
    return json_document([&](ordered_json& document) {
        for (const WrittenFile& f : files) {
            JsonWriter file{make_object(document[f.format])};
            file("file", f.file);
            file("bytes", f.bytes);
        }
    });
}

std::string check_json(const Dataset& data, const std::vector<Grouping>& groupings, const FileScan& scan) {
    return json_document([&](ordered_json& json) {
        json = counts_json(data, groupings);
        json["missing"] = to_json(scan.bad, data, true);
        json["unreadable"] = to_json(scan.bad, data, false);
        json["duplicates"] = images_of(data, scan.duplicates);
        json["duplicates_of_two_classes"] = images_of(data, scan.contradicting);
        json["duplicates_in_two_splits"] = images_of(data, scan.parted);
        json["units_in_two_splits"] = parted_units(data);
    });
}

std::string stats_json(const Dataset& data,
                       const std::vector<Grouping>& groupings,
                       const std::optional<PixelStats>& pixels) {
    return json_document([&](ordered_json& json) {
        json = counts_json(data, groupings);
        if (pixels)
            json["pixels"] = {{"split", "train"},
                              {"images", pixels->images},
                              {"bad", pixels->bad},
                              {"width", {pixels->least_width, pixels->most_width}},
                              {"height", {pixels->least_height, pixels->most_height}},
                              {"mean", pixels->mean},
                              {"std", pixels->std}};
    });
}

}  // namespace fp
