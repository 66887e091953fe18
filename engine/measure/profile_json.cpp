#include "engine/measure/profile_json.h"

#include <nlohmann/json.hpp>

namespace fp {

using nlohmann::ordered_json;

ordered_json chrome_trace(const std::vector<NamedProfile>& profiles) {
    ordered_json events = ordered_json::array();
    for (size_t process = 0; process < profiles.size(); ++process) {
        events.push_back(
            {{"name", "process_name"}, {"ph", "M"}, {"pid", process}, {"args", {{"name", profiles[process].name}}}});
        double at = 0;  // microseconds
        const auto add = [&](const LayerCost& c, const char* direction, double seconds) {
            if (seconds <= 0) return;
            events.push_back({{"name", c.layer},
                              {"cat", direction},
                              {"ph", "X"},
                              {"pid", process},
                              {"tid", 0},
                              {"ts", at},
                              {"dur", seconds * 1e6},
                              {"args",
                               {{"op", c.op},
                                {"channels", {c.in_channels, c.out_channels}},
                                {"map", {c.height, c.width}},
                                {"macs", c.macs},
                                {"bytes", c.bytes}}}});
            at += seconds * 1e6;
        };
        const std::vector<LayerCost>& rows = profiles[process].rows;
        for (const LayerCost& c : rows) add(c, "forward", c.forward_seconds);
        for (auto c = rows.rbegin(); c != rows.rend(); ++c) add(*c, "backward", c->backward_seconds);
    }
    return {{"traceEvents", events}, {"displayTimeUnit", "ms"}};
}

}  // namespace fp
