// The library by itself: a network, its tied channels, two of them removed, what that leaves.
#include <fmt/format.h>

#include "engine/measure/layer_costs.h"
#include "engine/prune/cut.h"
#include "models/models.h"

int main() {
    const fp::Kernels* kernels = fp::find_kernels(fp::Backend::cpu);
    const fp::ModelSpec spec{.arch = "resnet18", .classes = 4, .width = 0.25};
    const auto net = fp::models::build(spec, *kernels);
    net->initialize(1);

    const auto sets = fp::channel_sets(fp::trace(*net, 32).nodes);
    const fp::ChannelSet& set = fp::set_of(sets, "layer3.0.conv1");
    const auto small = fp::cut(*net, sets, {{set.name(), {0, 3}}});

    const auto parameters = [](const fp::Network& n) {
        return fp::totals(fp::layer_costs(n, 32)).parameters;
    };
    fmt::print("{} of {}: {} parameters, then {}\n", set.channels - 2, set.channels,
               parameters(*net), parameters(*small));
    return parameters(*small) < parameters(*net) ? 0 : 1;
}
