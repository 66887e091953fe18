#include <nlohmann/json.hpp>

#include "engine/core/trace.h"
#include "engine/data/counts.h"
#include "engine/io/json.h"
#include "engine/measure/layer_costs.h"
#include "engine/report/evaluation.h"
#include "engine/report/page.h"
#include "engine/report/title.h"
#include "engine/report/train_report.h"
#include "engine/run/checkpoint_json.h"
#include "engine/train/train_json.h"

namespace fp {

using nlohmann::ordered_json;

// The first epoch of the greatest "select" value, as fit() has it; null where none was estimable.
static ordered_json best_epoch(const std::vector<ordered_json>& rows) {
    ordered_json best, epoch;
    for (const ordered_json& row : rows) {
        const ordered_json& value = row.at("select").at("value");
        if (value.is_null() || (!best.is_null() && value <= best)) continue;
        best = value;
        epoch = row.at("epoch");
    }
    return epoch;
}

static void put_counts(JsonWriter out, const Dataset& data, const std::vector<std::string>& attributes) {
    for (const Split split : kSplits) {
        if (members(data, split).empty()) continue;
        JsonWriter part = inside(out, std::string(name(split)).c_str());
        part("images", int64_t(members(data, split).size()));
        part("units", count_units(data, split));
        part("classes", class_counts(data, split));
        JsonWriter by = inside(part, "attributes");
        for (const std::string& attribute : attributes) {
            const Grouping grouping = group_by(data, attribute);
            JsonWriter one = inside(by, attribute.c_str());
            one("groups", group_columns(grouping));
            one("counts", class_by_group(data, split, grouping));
        }
    }
}

static void put_layers(ordered_json& list, const std::vector<LayerCost>& layers) {
    for (const LayerCost& c : layers) {
        if (c.op != "conv2d" && c.op != "linear") continue;
        JsonWriter one{make_object(add_element(list))};
        one("layer", c.layer);
        one("map", std::vector<int>{c.height, c.width});
        one("channels", std::vector<int>{c.in_channels, c.out_channels});
        one("parameters", c.parameters);
        one("macs", c.macs);
        one("bytes", c.bytes);
    }
}

static ordered_json train_json(const TrainReport& r, const Caller& caller) {
    const Network& net = r.network;
    const Dataset& set = r.data.set;
    const std::vector<ordered_json> rows = read_rows(r.folder / "metrics.jsonl");
    const std::vector<LayerCost> layers = layer_costs(net, r.preprocessing.image_size);
    const Totals totals_of_image = totals(layers);
    ordered_json document;
    JsonWriter out{make_object(document)};
    out("title", net.spec.arch + " trained on " + data_words(set.name));
    out("command", caller.command_line);
    out("data", set.name);
    out("data_words", data_words(set.name));
    out("notes", set.notes);
    out("classes", set.classes);
    out("finished", r.finished);
    document["best_epoch"] = best_epoch(rows);
    JsonWriter model = inside(out, "model");
    model("spec", net.spec);
    model("image_size", r.preprocessing.image_size);
    model("parameters", totals_of_image.parameters);
    model("macs", totals_of_image.macs);
    put_layers(make_list(document["layers"]), layers);
    document["training"] = to_json(r.options.settings);
    document["training"]["batch_size"] = r.options.batch_size;
    put_counts(inside(out, "counts"), set, r.options.attributes);
    document["curves"] = rows;
    out("skipped", skipped_of(r.data));
    document["environment"] = environment(caller, &net.kernels());
    return document;
}

void publish(const TrainReport& r, const Caller& caller) {
    const ordered_json document = train_json(r, caller);
    write_file(r.folder / "report.json", json_text(document, 1));
    write_file(r.folder / "report.html", report_page(document));
}

}  // namespace fp
