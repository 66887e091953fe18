#include "engine/core/spec.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "kernels/error.h"

namespace fp {

int ModelSpec::channels(const std::string& layer, int full) const {
    const auto found = widths.find(layer);
    return found == widths.end() ? std::max(1, int(std::lround(full * width))) : found->second;
}

nlohmann::ordered_json to_json(const ModelSpec& spec) {
    nlohmann::ordered_json widths = nlohmann::ordered_json::object();
    for (const auto& [layer, channels] : spec.widths) widths[layer] = channels;
    return {{"arch", spec.arch},
            {"classes", spec.classes},
            {"stem", spec.stem},
            {"width", spec.width},
            {"widths", widths}};
}

ModelSpec spec_from_json(const nlohmann::ordered_json& j) {
    try {
        ModelSpec spec{.arch = j.at("arch").get<std::string>(),
                       .classes = j.at("classes").get<int>(),
                       .stem = j.at("stem").get<std::string>(),
                       .width = j.at("width").get<double>()};
        for (const auto& [layer, channels] : j.at("widths").items())
            spec.widths[layer] = channels.get<int>();
        FP_REQUIRE(spec.classes >= 2 && spec.classes <= 1'000'000, Exit::model,
                   "model spec: ", spec.classes, " classes");
        FP_REQUIRE(spec.width > 0 && spec.width <= 16, Exit::model, "model spec: width ",
                   spec.width);
        for (const auto& [layer, channels] : spec.widths)
            FP_REQUIRE(channels >= 1 && channels <= 65536, Exit::model, "model spec: ", layer,
                       " has ", channels, " channels");
        return spec;
    } catch (const nlohmann::json::exception& e) {
        fail_with(Exit::model, "model spec: ", e.what());
    }
}

}  // namespace fp
