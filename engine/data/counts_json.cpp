#include "engine/data/counts_json.h"

#include <nlohmann/json.hpp>

#include "engine/data/split.h"

namespace fp {
namespace {

using nlohmann::ordered_json;

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

}  // namespace

ordered_json counts_json(const Dataset& data, const std::vector<Grouping>& groupings) {
    ordered_json json = {{"data", data.name},
                         {"images", data.samples.size()},
                         {"units", count_units(data)},
                         {"split_hash", split_hash(data)},
                         {"classes", data.classes},
                         {"notes", data.notes},
                         {"splits", ordered_json::object()}};
    const Grouping nobody{.name = "", .groups = {}, .of = std::vector<int>(data.samples.size(), -1)};
    for (const Split split : {Split::train, Split::val, Split::test}) {
        auto& part = json["splits"][std::string(name(split))];
        part["images"] = members(data, split).size();
        part["units"] = count_units(data, split);
        if (split != Split::train) part["images_shared_with_train"] = shared_images(data, split, Split::train);
        const auto all = class_by_group(data, split, nobody);
        for (size_t c = 0; c < data.classes.size(); ++c) part["classes"][data.classes[c]] = all[c][0];
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

std::string check_json(const Dataset& data, const std::vector<Grouping>& groupings, const FileScan& scan) {
    ordered_json json = counts_json(data, groupings);
    json["missing"] = to_json(scan.bad, data, true);
    json["unreadable"] = to_json(scan.bad, data, false);
    json["duplicates"] = images_of(data, scan.duplicates);
    json["duplicates_of_two_classes"] = images_of(data, contradicting_duplicates(data, scan));
    json["duplicates_in_two_splits"] = images_of(data, parted_duplicates(data, scan));
    json["units_in_two_splits"] = parted_units(data);
    return json.dump(2) + "\n";
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
    return json.dump(2) + "\n";
}

}  // namespace fp
