#include "engine/measure/profile.h"

#include <algorithm>

#include "engine/core/loss.h"
#include "engine/core/session.h"
#include "engine/measure/random_images.h"
#include "kernels/error.h"

namespace fp {

using nlohmann::ordered_json;

std::vector<LayerCost> profile(Network& net, const ProfileOptions& o) {
    const Kernels& k = net.kernels();
    const Map map{
        .n = o.batch_size, .c = 3, .h = o.image_size, .w = o.image_size, .block = k.image_block(3)};
    const Buffer images = random_images(k, map);
    const std::vector<int32_t> labels(size_t(o.batch_size), 0);
    Session session(net);
    CrossEntropy loss(k, net.spec.classes);
    std::vector<LayerCost> best;
    for (int pass = -2; pass < std::max(o.passes, 1); ++pass) {
        Tape tape = session.begin({.mode = o.mode, .profile = true});
        const Var y = net.forward(tape, tape.input({images.as<act>(), map}));
        if (o.mode == Mode::train) {
            loss.forward(tape, y, labels);
            tape.backward({{y, loss.gradient(tape, y)}});
        }
        tape.read_times();
        const std::vector<LayerCost> now = layer_costs(tape.nodes());
        if (pass <= 0) best = now;
        FP_CHECK(best.size() == now.size(), "profile: the network's rows change from pass to pass");
        for (size_t i = 0; i < best.size(); ++i) {
            best[i].forward_seconds = std::min(best[i].forward_seconds, now[i].forward_seconds);
            best[i].backward_seconds = std::min(best[i].backward_seconds, now[i].backward_seconds);
        }
    }
    return best;
}

ordered_json chrome_trace(const std::vector<NamedProfile>& profiles) {
    ordered_json events = ordered_json::array();
    for (size_t process = 0; process < profiles.size(); ++process) {
        events.push_back({{"name", "process_name"},
                          {"ph", "M"},
                          {"pid", process},
                          {"args", {{"name", profiles[process].name}}}});
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
        for (auto c = rows.rbegin(); c != rows.rend(); ++c)
            add(*c, "backward", c->backward_seconds);
    }
    return {{"traceEvents", events}, {"displayTimeUnit", "ms"}};
}

}  // namespace fp
