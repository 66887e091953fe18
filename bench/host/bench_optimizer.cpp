// The optimiser's passes over the flat parameter blocks of ResNet-18 and VGG-11.
#include <algorithm>
#include <functional>
#include <string>

#include "bench/host/measure.h"

namespace fp::bench {
namespace {

struct Parameters {
    const char* network;
    int64_t count;
};
const Parameters kParameters[] = {{"resnet18", 11'180'616}, {"vgg11", 129'233'394}};

struct Blocks {
    Blocks(const Kernels& k, int64_t count)
        : w(k, k.parameter, count),
          g(k, k.parameter, count),
          m(k, k.parameter, count),
          v(k, k.parameter, count),
          sum(k, sizeof(double)),
          scratch(k, std::max<size_t>(k.optimizer.scratch_bytes(count), 1)) {
        k.memory.zero(v, size_t(count) * size_t(bytes_of(k.parameter)), {});  // a second moment is not negative
    }
    Buffer w, g, m, v, sum, scratch;
};

struct Call {
    const char* name;
    double streams, flops;  // numbers moved and operations, a parameter
    std::function<void(const Kernels&, int64_t count, Blocks&, Stream)> run;
};

const SgdStep kSgd{.lr = 1e-3, .momentum = 0.9, .decay = 1e-5, .nesterov = true};
const AdamwStep kAdamw{.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .decay = 1e-2, .step = 10};

const Call kCalls[] = {
    {"sgd", 5, 8,
     [](const Kernels& k, int64_t n, Blocks& b, Stream s) {
         k.optimizer.sgd(n, kSgd, {.w = b.w, .g = b.g, .v = b.m}, s);
     }},
    {"adamw", 7, 14,
     [](const Kernels& k, int64_t n, Blocks& b, Stream s) {
         k.optimizer.adamw(n, kAdamw, {.w = b.w, .g = b.g, .m = b.m, .v = b.v}, s);
     }},
    {"blend", 3, 3,
     [](const Kernels& k, int64_t n, Blocks& b, Stream s) {
         k.optimizer.blend(n, {.keep = 0.99, .average = b.v, .w = b.w}, s);
     }},
    {"sum_squares", 1, 2,
     [](const Kernels& k, int64_t n, Blocks& b, Stream s) { k.optimizer.sum_squares(n, b.g, b.sum, b.scratch, s); }},
    {"sum_ranks", 1.5, 0.5,  // one rank's half of what two have
     [](const Kernels& k, int64_t n, Blocks& b, Stream s) {
         k.optimizer.sum_ranks(n / 2, {.ranks = 2, .parts = b.g, .to = b.w}, s);
     }},
};

[[maybe_unused]] const bool registered = on_each_device([](const Kernels& k) {
    for (const auto& [network, count] : kParameters)
        for (const Call& call : kCalls) {
            const double flops = call.flops * double(count);
            const double bytes = call.streams * double(count) * bytes_of(k.parameter);
            add<Blocks>(k, {"optimizer", text(network, "/", call.name), flops, bytes}, count,
                        [&k, &call, n = count](Blocks& b, Stream stream) { call.run(k, n, b, stream); });
        }
});

}  // namespace
}  // namespace fp::bench
