// Whole networks: an inference, and a training step (forward, loss, backward, update). GFLOP/s counts padding
// taps as work, so a kernel that skips them, or Winograd's, can pass the processor's peak.
#include <memory>
#include <string>

#include "bench/host/measure.h"
#include "engine/measure/layer_costs.h"
#include "engine/measure/stopwatch.h"
#include "models/models.h"

namespace fp::bench {
namespace {

struct Step {
    const char* name;
    ModelSpec spec;
    TimingOptions options;
};
const Step kSteps[] = {
    {"resnet18_64/train/n128", {}, {.batch_size = 128, .image_size = 64, .train = true}},
    {"resnet18_64/infer/n128", {}, {.batch_size = 128, .image_size = 64}},
    {"resnet18_64/infer/n1", {}, {.batch_size = 1, .image_size = 64}},
    {"resnet18_224/train/n16", {}, {.batch_size = 16, .image_size = 224, .train = true}},
    {"resnet18_224/infer/n16", {}, {.batch_size = 16, .image_size = 224}},
    {"resnet50_224/infer/n16", {.arch = "resnet50"}, {.batch_size = 16, .image_size = 224}},
    {"vgg11_bn_224/infer/n16", {.arch = "vgg11_bn"}, {.batch_size = 16, .image_size = 224}},
};

void run(benchmark::State& state, const Kernels& k, const Step& step) {
    const auto net = models::build(step.spec, k);
    net->initialize(1);
    TimedNetwork timed(*net, step.options);
    timed.run();
    const Totals t = totals(layer_costs(*net, step.options.image_size));
    const double passes = step.options.train ? 3 : 1;
    measure(state, k, 2 * passes * t.macs * step.options.batch_size, passes * t.bytes * step.options.batch_size,
            [&](Stream) { timed.run(); });
    state.SetItemsProcessed(state.iterations() * step.options.batch_size);
}

[[maybe_unused]] const bool registered = on_each_device([](const Kernels& k) {
    for (const Step& step : kSteps)
        add(text("network/", k.name, "/", step.name), [&](benchmark::State& state) { run(state, k, step); });
});

}  // namespace
}  // namespace fp::bench
