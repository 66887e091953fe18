// The optimiser's passes over the flat parameter blocks of ResNet-18 and VGG-11.
#include <algorithm>
#include <functional>
#include <string>

#include "bench/measure.h"
#include "kernels/error.h"

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
          scratch(k, std::max<size_t>(k.optimizer.scratch_bytes(count), 1)) {}
    Buffer w, g, m, v, sum, scratch;
};

struct Call {
    const char* name;
    int streams, flops;  // numbers moved and operations, a parameter
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
     [](const Kernels& k, int64_t n, Blocks& b, Stream s) {
         k.optimizer.sum_squares(n, b.g, reinterpret_cast<double*>(b.sum.data()), b.scratch.data(), s);
     }},
};

[[maybe_unused]] const bool registered = [] {
    for (const Kernels* k : devices())
        for (const Parameters& p : kParameters)
            for (const Call& call : kCalls)
                benchmark::RegisterBenchmark(
                    text("optimizer/", k->name, "/", p.network, "/", call.name).c_str(),
                    [=, &p, &call](benchmark::State& state) {
                        Blocks blocks(*k, p.count);
                        // A second moment is not negative.
                        k->memory.zero(blocks.v, size_t(p.count) * size_t(bytes_of(k->parameter)), {});
                        measure(state, *k, double(call.flops) * double(p.count),
                                double(call.streams) * double(p.count) * bytes_of(k->parameter),
                                [&](Stream stream) { call.run(*k, p.count, blocks, stream); });
                    })
                    ->UseManualTime()
                    ->Unit(benchmark::kMillisecond);
    return true;
}();

}  // namespace
}  // namespace fp::bench
